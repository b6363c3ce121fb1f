"""READMEs and other Markdown files: links that lead somewhere, and a front page of one sitting."""

import pathlib
import re
import tempfile

from absl.testing import absltest

ROOT = pathlib.Path(__file__).resolve().parents[1]
_LINK = re.compile(r'\]\(([^)\s]+)\)')
_FRONT_PAGE = 160  # Lines.


def pages(root=ROOT):
  """Every Markdown file of the project."""
  return [root / 'README.md'] + [
      path for top in ('alpt_jax', 'experiments', 'launch', 'tests')
      for path in sorted((root / top).rglob('*.md'))]


def broken_links(path):
  """Links of a page to a file or heading that is not there; those to other sites are not tried."""
  found = []
  for link in _LINK.findall(path.read_text(encoding='utf-8')):
    if re.match(r'https?:', link):
      continue
    name, _, heading = link.partition('#')
    target = path.parent / name if name else path
    if target.is_dir() and heading:
      target = target / 'README.md'
    if not target.exists() or heading and heading not in _anchors(target):
      found.append(link)
  return found


def _anchors(path):
  return {re.sub(r'[^\w\- ]', '', title.lower()).strip().replace(' ', '-')
          for title in re.findall(r'^#+ (.*)$', path.read_text(encoding='utf-8'), re.M)}


class ReadmesTest(absltest.TestCase):

  def test_links_lead_somewhere(self):
    self.assertEqual({str(path.relative_to(ROOT)): broken for path in pages()
                      if (broken := broken_links(path))}, {})

  def test_broken_links_are_found(self):
    page = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()), 'page.md')
    page.write_text('# A title, "so"\n[a](page.md#a-title-so) [b](#b) [c](c.md) [d](https://x)')
    self.assertEqual(broken_links(page), ['#b', 'c.md'])

  def test_the_front_page_is_short(self):
    self.assertLessEqual(len((ROOT / 'README.md').read_text().splitlines()), _FRONT_PAGE)


if __name__ == '__main__':
  absltest.main()
