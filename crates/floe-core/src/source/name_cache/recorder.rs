//! Writing the next cache.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::layout::{HEADER_BYTES, Item, Key, NameFile, encode, header, tail};
use crate::error::{Error, Result};
use crate::source::replacement::{Replacement, copy};
use crate::source::walk::Names;

/// Records being written: first what is new, as it is found, in the end what is kept.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    output: Output,
    items: Vec<Item>,
}

#[derive(Debug, Default)]
enum Output {
    /// Nothing is new so far.
    #[default]
    None,
    Open(BufWriter<Replacement>, u64),
    /// It could not be written, or somebody else is writing.
    GivenUp(Option<io::Error>),
}

impl Recorder {
    /// How many directories were added.
    pub(super) fn count(&self) -> usize {
        self.items.len()
    }

    /// Adds the names of a directory.
    pub(super) fn push(&mut self, path: &Path, old: &NameFile, key: Key, names: &Names) {
        let Some(record) = encode(names) else { return };
        if matches!(self.output, Output::None) {
            self.output = begin(path, old).unwrap_or_else(|error| Output::GivenUp(Some(error)));
        }
        let Output::Open(output, end) = &mut self.output else { return };
        let Some(item) = Item::new(key, *end, names, &record) else { return };
        match output.write_all(&record) {
            Ok(()) => {
                *end = item.end();
                self.items.push(item);
            }
            Err(error) => self.output = Output::GivenUp(Some(error)),
        }
    }

    /// Puts the new cache in the place of the old one, with those of its records that were found; nothing happens where
    /// nothing is new.
    pub(super) fn finish(self, path: &Path, old: &NameFile, found: impl Fn(usize) -> bool) -> Result<()> {
        let kept = old.items.iter().enumerate().filter(|(number, _)| found(*number)).map(|(_, item)| *item);
        let written = match self.output {
            Output::None | Output::GivenUp(None) => Ok(()),
            Output::GivenUp(Some(error)) => Err(error),
            Output::Open(output, end) => replace(path, output, end, self.items, old, kept.collect()),
        };
        written
            .map_err(|error| Error::io(format!("cannot write the cache of names {}", path.display()), error))
    }
}

fn begin(path: &Path, old: &NameFile) -> io::Result<Output> {
    let Some(replacement) = Replacement::create(path, old.file.as_ref())? else {
        return Ok(Output::GivenUp(None));
    };
    let mut output = BufWriter::new(replacement);
    output.write_all(&header())?;
    Ok(Output::Open(output, HEADER_BYTES as u64))
}

fn replace(
    path: &Path,
    mut output: BufWriter<Replacement>,
    mut end: u64,
    mut items: Vec<Item>,
    old: &NameFile,
    mut kept: Vec<Item>,
) -> io::Result<()> {
    // As they stand in the file, so that neighbours are copied at once.
    kept.sort_unstable_by_key(|item| item.offset);
    for run in kept.chunk_by(|a, b| a.end() == b.offset) {
        let range = run[0].offset..run[run.len() - 1].end();
        if let Some(old) = &old.file {
            copy(old, range.clone(), &mut output)?;
        }
        items.extend(run.iter().map(|item| Item { offset: end + (item.offset - range.start), ..*item }));
        end += range.end - range.start;
    }
    // A walk that was begun anew found some a second time. What is new comes first.
    items.sort_by_key(|item| item.key);
    items.dedup_by(|a, b| a.key == b.key);
    output.write_all(&tail(&items))?;
    output.into_inner().map_err(io::IntoInnerError::into_error)?.replace(path)
}
