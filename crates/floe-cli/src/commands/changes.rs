//! Changes, shown as they come: a line each, or a list in a report.

use std::io::Write;

use floe_core::{ChangeKind, Error};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{DataOutcome, DataStream, Output, ShownPath};

#[derive(Serialize)]
struct ChangeReport<'a> {
    change: &'static str,
    #[serde(flatten)]
    path: ShownPath<'a>,
}

/// Shows changes as they come.
pub(super) struct ChangeList {
    out: DataStream,
    outcome: DataOutcome,
    json: bool,
    escape: bool,
    end: &'static [u8],
    count: u64,
}

impl ChangeList {
    /// A list on standard output.
    pub(super) fn new(output: &Output, json: bool) -> Self {
        let (out, outcome) = output.stream();
        Self { out, outcome, json, escape: output.is_terminal(), end: b"\n", count: 0 }
    }

    /// The same list with a zero byte after each path, which is shown as it is: for programs.
    pub(super) fn for_programs(self) -> Self {
        Self { escape: false, end: b"\0", ..self }
    }

    /// How many were shown.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Shows one; that of the tree's own directory has an empty path.
    ///
    /// # Errors
    /// Of standard output.
    pub(super) fn show(&mut self, kind: ChangeKind, path: &[u8]) -> floe_core::Result<()> {
        self.write(kind, path).map_err(cannot_show)?;
        self.count += 1;
        Ok(())
    }

    fn write(&mut self, kind: ChangeKind, path: &[u8]) -> std::io::Result<()> {
        let (letter, word) = match kind {
            ChangeKind::Added => (b"A ", "added"),
            ChangeKind::Removed => (b"D ", "removed"),
            ChangeKind::Content => (b"M ", "content"),
            ChangeKind::Metadata => (b"m ", "metadata"),
        };
        let path = if path.is_empty() { b"." } else { path };
        if self.json {
            self.out.write_all(if self.count == 0 { b"{\"changes\":[" } else { b"," })?;
            let report = ChangeReport { change: word, path: ShownPath::new(path) };
            return Ok(serde_json::to_writer(&mut self.out, &report)?);
        }
        self.out.write_all(letter)?;
        self.out.write_path(path, self.escape)?;
        self.out.write_all(self.end)
    }

    /// Ends the list when the work is done; in JSON it becomes a part of this report.
    ///
    /// # Errors
    /// Of standard output, and the work's own.
    pub(super) fn end<T>(
        mut self,
        done: floe_core::Result<T>,
        report: impl FnOnce(&T) -> serde_json::Result<String>,
    ) -> Result<T, Failure> {
        let done = done.and_then(|done| {
            if self.json {
                report(&done)
                    .map_err(Into::into)
                    .and_then(|fields| self.write_report(&fields))
                    .map_err(cannot_show)?;
            }
            Ok(done)
        });
        drop(self.out);
        self.outcome.settle(done)
    }

    fn write_report(&mut self, fields: &str) -> std::io::Result<()> {
        let start = if self.count == 0 { "{\"changes\":[" } else { "" };
        writeln!(self.out, "{start}],{}", fields.trim_start_matches('{'))
    }
}

fn cannot_show(e: std::io::Error) -> Error {
    Error::io("cannot write to standard output", e)
}
