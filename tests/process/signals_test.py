"""No signal is lost, wherever the exception of its handler is raised."""

import ctypes
import gc
import os
import pathlib
import signal
import sys
import tempfile
import threading
import time
import weakref

from absl.testing import absltest, parameterized

from alpt_jax import cli
from alpt_jax.data.importers import decoding
from alpt_jax.process import signals
from alpt_jax.training import stopping

SIGNALS = {signal.SIGINT: KeyboardInterrupt, signal.SIGTERM: cli._Terminated}
SECONDS = 10.  # More than any attempt takes.


def wait(seconds=SECONDS):
  end = time.monotonic() + seconds
  while time.monotonic() < end:
    time.sleep(.001)


def in_garbage_collection(send):
  def callback(*unused):
    gc.callbacks.remove(callback)
    send()
    wait(.01)

  gc.callbacks.append(callback)
  gc.collect()


def in_finaliser(send):
  class Object:
    def __del__(self):
      send()
      wait(.01)

  Object()


def in_function_called_from_c(send):
  @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
  def compare(*unused):
    send()
    wait(.01)
    return 0

  libc = ctypes.CDLL(None)
  libc.qsort((ctypes.c_int * 2)(2, 1), 2, ctypes.sizeof(ctypes.c_int), compare)


def swallowed(send):
  try:
    send()
    wait(.2)
  except BaseException:  # As a library does.
    pass


def swallowed_by_finally(send):
  def function():
    try:
      send()
      wait(.2)
    finally:
      return  # noqa: B012

  function()


def in_callback_of_a_weak_reference(send):
  class Object:
    pass

  def callback(unused):
    send()
    wait(.01)

  thing = Object()
  reference = weakref.ref(thing, callback)
  del thing
  del reference


PLACES = (in_garbage_collection, in_finaliser, in_function_called_from_c, swallowed,
          swallowed_by_finally, in_callback_of_a_weak_reference)


class SignalsTest(parameterized.TestCase):

  def setUp(self):
    super().setUp()
    self.shown = []
    before = sys.unraisablehook
    self.addCleanup(setattr, sys, 'unraisablehook', before)
    sys.unraisablehook = self.hook = self.shown.append
    self.alarm = signal.getsignal(signal.SIGALRM)
    self.handlers = {number: signal.getsignal(number) for number in SIGNALS}

  def check_nothing_is_left(self):
    left, interval = signal.getitimer(signal.ITIMER_REAL)
    self.assertEqual(interval, 0.)
    self.assertFalse(0 < left < 1)  # 0, or what limits the time of tests.
    self.assertEqual(signal.getsignal(signal.SIGALRM), self.alarm)
    self.assertEqual({number: signal.getsignal(number) for number in SIGNALS}, self.handlers)
    self.assertEqual(sys.unraisablehook, self.hook)
    self.assertIsNone(signals.settle())

  @parameterized.product(number=tuple(SIGNALS), place=PLACES)
  def test_is_raised_wherever_it_comes(self, number, place):
    with self.assertRaises(SIGNALS[number]):
      with cli._terminable():
        place(lambda: os.kill(os.getpid(), number))
        wait()
        self.fail('lost')
    self.assertEqual(self.shown, [])
    self.check_nothing_is_left()

  @parameterized.parameters(*SIGNALS)
  def test_is_raised_at_the_end_of_who_swallows_it(self, number):
    with self.assertRaises(SIGNALS[number]):
      with cli._terminable():
        try:
          os.kill(os.getpid(), number)
          wait()
        except BaseException:
          pass
    self.check_nothing_is_left()

  @parameterized.parameters(*SIGNALS)
  def test_replaces_the_error_that_a_library_made_of_it(self, number):
    with self.assertRaises(SIGNALS[number]):
      with cli._terminable():
        try:
          os.kill(os.getpid(), number)
          wait()
        except BaseException:
          error = RuntimeError('INTERNAL: callback failed')
        raise error  # Which says nothing of a signal, not even as its context.
    self.check_nothing_is_left()

  @parameterized.parameters(*SIGNALS)
  def test_ends_what_waits_for_a_pipe(self, number):
    path = str(pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'a.mp4')
    os.mkfifo(path)
    timer = threading.Timer(.2, os.kill, (os.getpid(), number))
    timer.start()
    with self.assertRaises(SIGNALS[number]):
      with cli._terminable():
        decoding.num_frames(path)  # FFmpeg waits for who writes.
        wait()
    self.check_nothing_is_left()

  @parameterized.product(number=tuple(SIGNALS), is_sent_again=(False, True))
  def test_who_cleans_up_is_left_alone(self, number, is_sent_again):
    steps = []
    with self.assertRaises(SIGNALS[number]):
      with cli._terminable():
        try:
          os.kill(os.getpid(), number)
          wait()
        finally:
          if is_sent_again:  # As who stops a group of processes and each of them does.
            os.kill(os.getpid(), number)
          for i in range(4):
            wait(.06)
            try:
              raise OSError
            except OSError:
              wait(.06)
              steps.append(i)
    self.assertEqual(steps, [0, 1, 2, 3])
    self.check_nothing_is_left()

  @parameterized.parameters((signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT))
  def test_another_signal_ends_who_cleans_up(self, first, second):
    with self.assertRaises(SIGNALS[second]):
      with cli._terminable():
        try:
          os.kill(os.getpid(), first)
          wait()
        finally:
          os.kill(os.getpid(), second)
          wait()
          self.fail('lost')
    self.check_nothing_is_left()

  def test_other_ignored_errors_are_shown(self):
    class Object:
      def __del__(self):
        raise OverflowError

    with self.assertRaises(cli._Terminated):
      with cli._terminable():
        try:
          os.kill(os.getpid(), signal.SIGTERM)
          wait()
        finally:
          Object()
    self.assertEqual([one.exc_type for one in self.shown], [OverflowError])

  @parameterized.product(number=tuple(SIGNALS), place=PLACES)
  def test_stops_what_takes_long(self, number, place):
    def function():
      place(lambda: os.kill(os.getpid(), number))
      wait()
      self.fail('lost')

    with stopping.StopSignal() as stop:
      self.assertIsNone(stop.unless_set(function))
      self.assertTrue(stop.is_set)
      self.assertIsNone(signals.settle())
    self.check_nothing_is_left()

  @parameterized.parameters(*PLACES)
  def test_second_interrupt_ends_at_once(self, place):
    with self.assertRaises(KeyboardInterrupt):
      with stopping.StopSignal():
        os.kill(os.getpid(), signal.SIGINT)  # Remembered.
        place(lambda: os.kill(os.getpid(), signal.SIGINT))
        wait()
        self.fail('lost')
    self.check_nothing_is_left()

  def test_interrupt_that_the_last_call_swallowed_is_raised_at_the_end(self):
    with self.assertRaises(KeyboardInterrupt):
      with stopping.StopSignal():
        try:
          for _ in range(2):
            os.kill(os.getpid(), signal.SIGINT)
          wait()
        except BaseException:
          pass
    self.check_nothing_is_left()


if __name__ == '__main__':
  absltest.main()
