//! Writing the next cache.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::MAX_DIRECTORIES;
use super::layout::{HEADER_BYTES, Item, Key, NameFile, encode, header, tail};
use crate::error::{Error, Result};
use crate::source::replacement::Replacement;
use crate::source::walk::Names;

/// Bytes of the old cache that are copied at once.
const COPY_BYTES: usize = 128 * 1024;

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
    /// Adds the names of a directory.
    pub(super) fn push(&mut self, path: &Path, key: Key, names: &Names) {
        if self.items.len() >= MAX_DIRECTORIES {
            return;
        }
        let Some(record) = encode(names) else { return };
        if matches!(self.output, Output::None) {
            self.output = begin(path).unwrap_or_else(|error| Output::GivenUp(Some(error)));
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

fn begin(path: &Path) -> io::Result<Output> {
    let Some(replacement) = Replacement::create(path)? else { return Ok(Output::GivenUp(None)) };
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
    kept.truncate(MAX_DIRECTORIES - items.len());
    // As they stand in the file, so that neighbours are copied at once.
    kept.sort_unstable_by_key(|item| item.offset);
    let mut buffer = vec![0; COPY_BYTES];
    for run in kept.chunk_by(|a, b| a.end() == b.offset) {
        let (start, length) = (run[0].offset, run[run.len() - 1].end() - run[0].offset);
        copy(old, start, length, &mut buffer, &mut output)?;
        items.extend(run.iter().map(|item| Item { offset: end + (item.offset - start), ..*item }));
        end += length;
    }
    // A walk that was begun anew found some a second time.
    items.sort_unstable_by_key(|item| item.key);
    items.dedup_by(|a, b| a.key == b.key);
    output.write_all(&tail(&items))?;
    output.into_inner().map_err(io::IntoInnerError::into_error)?.replace(path)
}

fn copy(
    old: &NameFile,
    mut offset: u64,
    mut length: u64,
    buffer: &mut [u8],
    output: &mut impl Write,
) -> io::Result<()> {
    while length > 0 {
        let count = usize::try_from(length).map_or(buffer.len(), |length| length.min(buffer.len()));
        old.read_raw(&mut buffer[..count], offset)?;
        output.write_all(&buffer[..count])?;
        offset += count as u64;
        length -= count as u64;
    }
    Ok(())
}
