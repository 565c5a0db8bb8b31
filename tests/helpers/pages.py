"""Checks an HTML page as a browser would take it, and opens it in one."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

#: Tags without an end.
VOID = {'meta', 'img', 'br', 'link', 'input', 'hr'}
#: Where a tag names an address.
ADDRESSES = ('src', 'href', 'srcset', 'poster', 'data', 'action')


class Page(HTMLParser):
    """A page that was parsed: its tags, texts, and what is wrong."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.errors, self.open, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        self.errors += [f'<{tag}> is not closed' for tag in self.open]
        for name in re.findall(r'@import|url\((?!data:)', text):
            self.errors.append(f'style loads {name}')
        known = {attributes.get('id') for _, attributes in self.tags}
        for tag, attributes in self.tags:
            target = attributes.get('href', '')
            if target.startswith('#') and target[1:] not in known:
                self.errors.append(f'{target} leads nowhere')
        self.text = ' '.join(' '.join(self.texts).split())

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        if tag not in VOID:
            self.open.append(tag)
        if tag in ('script', 'link', 'iframe', 'object', 'embed'):
            self.errors.append(f'<{tag}>')
        for name in ADDRESSES:
            value = attributes.get(name)
            if value is not None and not value.startswith(('data:image/', '#')):
                self.errors.append(f'<{tag} {name}={value[:60]!r}>')
        if tag == 'img' and not attributes.get('alt'):
            self.errors.append('<img> without alt')
        if attributes.get('id') in self.ids:
            self.errors.append(f'two of id {attributes["id"]}')
        self.ids += [attributes['id']] if 'id' in attributes else []

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.errors.append(f'</{tag}> at line {self.getpos()[0]} closes another tag')

    def handle_data(self, data):
        if self.open and self.open[-1] != 'style':
            self.texts.append(data)

    @property
    def pictures(self):
        """The addresses of all pictures."""
        return [attributes['src'] for tag, attributes in self.tags if tag == 'img']

    @property
    def headings(self):
        """The places of all sections."""
        return [attributes.get('id') for tag, attributes in self.tags if tag == 'h2']


def parsed(path):
    """Return a page, which must have no error and load nothing."""
    page = Page(Path(path).read_text(encoding='utf-8'))
    assert page.errors == []
    return page


def browser():
    """A browser that makes pictures without a screen; None if there is none."""
    names = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
    return next(filter(None, map(shutil.which, names)), None)


def dumped(path, folder, *options):
    """Return what a browser makes of a page, as its DOM."""
    command = [
        browser(), '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic',
        '--no-first-run', '--disable-background-networking', '--disable-component-update',
        '--disable-sync', f'--user-data-dir={folder}', '--dump-dom', *options,
        Path(path).resolve().as_uri(),
    ]  # fmt: skip
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
