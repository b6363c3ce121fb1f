"""A real browser for tests of pages: headless Chromium without network.

Checks return what is wrong as a list of sentences, so that a test can say what it found.
"""

import json
import os
import shutil

from selenium import webdriver

_PROGRAMS = ('chromium', 'chromedriver')

_SIZES = """
return [...document.querySelectorAll('svg, img, figure')].flatMap(element => {
  const {width, height} = element.getBoundingClientRect();
  const name = element.outerHTML.slice(0, 80);
  if (!width || !height) return [`${name} has no size`];
  if (element.tagName === 'IMG' && !(element.complete && element.naturalWidth))
    return [`${name} shows no image`];
  return [];
});"""

_SIDEWAYS = """
const root = document.documentElement, problems = [];
if (root.scrollWidth > Math.min(root.clientWidth, innerWidth))
  problems.push(`the page is ${root.scrollWidth} wide in a window of ${root.clientWidth}`);
for (const element of document.body.querySelectorAll('*')) {
  if (element instanceof SVGElement || !element.clientWidth) continue;
  if (element.scrollWidth > element.clientWidth + 1
      && !['auto', 'scroll'].includes(getComputedStyle(element).overflowX))
    problems.push(`${element.outerHTML.slice(0, 80)} is ${element.scrollWidth} wide in a box of `
                  + element.clientWidth);
}
return problems;"""

_TEXTS = """
function texts(root) {  // Elements that directly hold text that shows.
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT), found = new Set();
  while (walker.nextNode())
    if (walker.currentNode.data.trim() && walker.currentNode.parentElement.checkVisibility())
      found.add(walker.currentNode.parentElement);
  return [...found];
}"""

_SMALL = _TEXTS + """
return [...document.querySelectorAll('table')].flatMap(texts).flatMap(element => {
  const size = parseFloat(getComputedStyle(element).fontSize);
  return size < arguments[0] ? [`${element.outerHTML.slice(0, 80)} has text of ${size} px`] : [];
});"""

_CONTRAST = _TEXTS + """
const parse = text => {
  const [r, g, b, alpha = 1] = text.match(/[\\d.]+/g).map(Number);
  return {rgb: [r, g, b], alpha};
};
const over = (top, below) => top.rgb.map((x, i) => x * top.alpha + below[i] * (1 - top.alpha));
function background(element) {
  if (!element) throw new Error('The page has no background of its own.');
  const colour = parse(getComputedStyle(element).backgroundColor);
  return colour.alpha === 1 ? colour.rgb : over(colour, background(element.parentElement));
}
const luminance = rgb => rgb.map(x => x / 255)  // WCAG 2.2.
  .map(x => x <= .04045 ? x / 12.92 : ((x + .055) / 1.055) ** 2.4)
  .reduce((sum, x, i) => sum + x * [.2126, .7152, .0722][i], 0);
return texts(document.body).flatMap(element => {
  const style = getComputedStyle(element), below = background(element);
  const ink = parse(element instanceof SVGElement ? style.fill : style.color);
  const [low, high] = [luminance(over(ink, below)), luminance(below)].sort((a, b) => a - b);
  const contrast = (high + .05) / (low + .05);
  return contrast < arguments[0]
    ? [`${element.outerHTML.slice(0, 80)} has a contrast of ${contrast.toFixed(2)}`] : [];
});"""

_LINKS = """
return [...document.querySelectorAll('a[href^="#"]')].flatMap(link => {
  const target = document.getElementById(decodeURIComponent(link.hash.slice(1)));
  if (!target) return [`${link.hash} leads nowhere`];
  link.click();
  const {top, bottom} = target.getBoundingClientRect();
  return top >= -1 && bottom <= innerHeight ? [] : [`${link.hash} does not come into sight`];
});"""


class Browser:
  """Chromium with one page at a time; `close` ends it."""

  def __init__(self):
    paths = [shutil.which(program) for program in _PROGRAMS]
    if None in paths:
      missing = [program for program, path in zip(_PROGRAMS, paths, strict=True) if path is None]
      raise FileNotFoundError(f'{" and ".join(missing)} not found; tests of pages need a browser: '
                              'apt-get install chromium chromium-driver')
    options = webdriver.ChromeOptions()
    options.binary_location, driver = paths
    options.add_argument('--headless=new')
    if os.geteuid() == 0:
      options.add_argument('--no-sandbox')  # Chromium refuses to start as root with its sandbox.
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL', 'performance': 'ALL'})
    self._driver = webdriver.Chrome(options, webdriver.ChromeService(driver))
    self.close = self._driver.quit
    self.find = self._driver.find_elements
    self.run = self._driver.execute_script
    self._command('Network.enable')
    self._command('Network.emulateNetworkConditions', offline=True, latency=0,
                  downloadThroughput=-1, uploadThroughput=-1)

  def _command(self, name, **parameters):
    self._driver.execute_cdp_cmd(name, parameters)

  def open(self, path, width=1280, scheme='light', has_script=True):
    """Opens a file; forgets what the page before it said and asked for."""
    self._command('Emulation.setScriptExecutionDisabled', value=not has_script)
    self.resize(width)
    self.prefer(scheme)
    self.messages(), self.requests()
    self._driver.get(f'file://{os.path.abspath(path)}')

  def resize(self, width, height=800):
    """Makes the window so many pixels wide, as wide as a phone's if need be."""
    self._command('Emulation.setDeviceMetricsOverride', width=width, height=height,
                  deviceScaleFactor=1, mobile=False)

  def prefer(self, scheme):
    """Says that the reader prefers a colour scheme: 'light' or 'dark'."""
    self._command('Emulation.setEmulatedMedia',
                  features=[dict(name='prefers-color-scheme', value=scheme)])

  def unfold(self):
    """Opens everything that can be unfolded."""
    self.run("for (const x of document.querySelectorAll('details')) x.open = true;")

  def messages(self):
    """Warnings and errors in the console since the last call."""
    return [entry['message'] for entry in self._driver.get_log('browser')
            if entry['level'] in ('WARNING', 'SEVERE')]

  def requests(self):
    """What the page asked the network for since the last call, answered or not."""
    entries = (json.loads(entry['message'])['message']
               for entry in self._driver.get_log('performance'))
    urls = [entry['params']['request']['url'] for entry in entries
            if entry['method'] == 'Network.requestWillBeSent']
    urls += self.run('return performance.getEntries().map(x => x.name)'
                     ".filter(x => x.includes(':'))")
    return [url for url in urls if not url.startswith(('file:', 'data:'))]

  def empty_pictures(self):
    """Pictures and figures that have no size, or could not be decoded."""
    return self.run(_SIZES)

  def sideways(self):
    """What is wider than its box and does not scroll in a box of its own."""
    return self.run(_SIDEWAYS)

  def small_text(self, at_least):
    """Text of tables that is smaller than so many pixels."""
    return self.run(_SMALL, at_least)

  def faint_text(self, at_least):
    """Text whose contrast to what is behind it is lower than that, of 1 to 21."""
    return self.run(_CONTRAST, at_least)

  def dead_links(self):
    """Links within the page that lead nowhere."""
    return self.run(_LINKS)
