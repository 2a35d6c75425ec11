//! Keys as paths, and paths as keys.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::super::{Cursor, Entry, Key, KeyPrefix, Page};
use super::{GOES_ON, MAX_NAME_BYTES};
use crate::{Error, Result};

/// How many objects a page holds; a page reads the directories anew.
const PAGE_ENTRIES: usize = 10_000;

/// The path of a key, or of the segments before one.
pub(super) fn path(root: &Path, key: &str) -> PathBuf {
    let mut path = root.to_owned();
    for segment in key.split('/').filter(|segment| !segment.is_empty()) {
        let mut rest = segment;
        while rest.len() > MAX_NAME_BYTES {
            // Keys are ASCII, so any byte is a boundary.
            let (name, after) = rest.split_at(MAX_NAME_BYTES);
            path.push(format!("{name}{GOES_ON}"));
            rest = after;
        }
        path.push(rest);
    }
    path
}

/// The objects under a prefix that come after a key, in the order of their keys.
pub(super) fn page(root: &Path, prefix: &KeyPrefix, after: Option<&str>) -> Result<Page> {
    let whole = prefix.as_str().rsplit_once('/').map_or("", |(whole, _)| whole);
    let start = path(root, whole);
    let mut walk = Walk { prefix: prefix.as_str(), after, found: BTreeMap::new(), more: false };
    let key_before = if whole.is_empty() { String::new() } else { format!("{whole}/") };
    walk.directory(&start, &key_before)
        .map_err(|e| Error::io(format!("cannot list `{prefix}` in the store {}", root.display()), e))?;

    let mut page = Page::default();
    let last = walk.found.last_key_value().map(|(key, _)| key.as_str().to_owned());
    for (key, path) in walk.found {
        match path.symlink_metadata() {
            Ok(found) => {
                let modified = found.modified().map_err(|e| Error::io(format!("no time of `{key}`"), e))?;
                page.entries.push(Entry { key, size_bytes: found.len(), modified });
            }
            // Deleted since.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(Error::io(format!("cannot list `{key}` in the store"), e)),
        }
    }
    page.next = last.filter(|_| walk.more).map(Cursor);
    Ok(page)
}

struct Walk<'a> {
    prefix: &'a str,
    after: Option<&'a str>,
    /// The smallest keys met so far.
    found: BTreeMap<Key, PathBuf>,
    /// Whether one had to be left out.
    more: bool,
}

impl Walk<'_> {
    fn directory(&mut self, dir: &Path, key_before: &str) -> io::Result<()> {
        let entries = match fs::read_dir(dir) {
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(());
            }
            other => other?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            // Dotted names are the store's own, others that no key has are a stranger's.
            let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else {
                continue;
            };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let key_before = match name.strip_suffix(GOES_ON) {
                    Some(name) => format!("{key_before}{name}"),
                    None => format!("{key_before}{name}/"),
                };
                if key_before.starts_with(self.prefix) || self.prefix.starts_with(&key_before) {
                    self.directory(&entry.path(), &key_before)?;
                }
            } else if !kind.is_symlink() {
                // A fifo is no object, and whoever reads it is told so.
                self.file(format!("{key_before}{name}"), entry.path());
            }
        }
        Ok(())
    }

    fn file(&mut self, name: String, path: PathBuf) {
        if !name.starts_with(self.prefix) || self.after.is_some_and(|after| name.as_str() <= after) {
            return;
        }
        let Ok(key) = Key::new(name) else { return };
        self.found.insert(key, path);
        if self.found.len() > PAGE_ENTRIES {
            self.found.pop_last();
            self.more = true;
        }
    }
}
