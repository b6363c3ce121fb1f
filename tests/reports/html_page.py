"""Reads a page as a browser would, for tests of reports."""

import base64
import html.parser


class Page(html.parser.HTMLParser):
  """Collects a page's text, references and ids; knows whether its elements are balanced."""

  _VOID = {'meta', 'br', 'wbr', 'img', 'col'}

  def __init__(self, text):
    super().__init__()
    self.text, self.references, self.ids, self.downloads, self.open = '', [], [], {}, []
    self.feed(str(text))  # What a `Markup` is cut into and joined with would be escaped.
    self.close()

  def handle_starttag(self, tag, attrs):
    attrs = dict(attrs)
    if tag not in self._VOID:
      self.open.append(tag)
    self.ids += [attrs['id']] if 'id' in attrs else []
    self.references += [attrs[key] for key in ('href', 'src', 'xlink:href') if key in attrs]
    if 'download' in attrs:
      self.downloads[attrs['download']] = base64.b64decode(attrs['href'].split(',')[1])

  def handle_startendtag(self, tag, attrs):
    self.handle_starttag(tag, attrs)
    if tag not in self._VOID:
      self.open.pop()

  def handle_endtag(self, tag):
    if not self.open or self.open.pop() != tag:
      raise AssertionError(f'</{tag}> closes nothing')

  def handle_data(self, data):
    if self.open and self.open[-1] not in ('style', 'script'):
      self.text += data
