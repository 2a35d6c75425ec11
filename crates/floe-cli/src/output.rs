//! What is shown: data on standard output, everything else on standard error.

use std::borrow::Cow;
use std::io::{self, BufWriter, IsTerminal, Stdout, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use crate::arguments::CommonArguments;
use crate::failure::Failure;

/// How to show things.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    quiet: bool,
    verbose: bool,
    color: bool,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    has_shown_data: Arc<AtomicBool>,
}

impl Output {
    /// As these options, the terminal and `NO_COLOR` say.
    pub(crate) fn new(common: &CommonArguments) -> Self {
        // One that moves no cursor and has no colors shows text as a file does.
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let stderr_is_terminal = io::stderr().is_terminal() && !is_dumb;
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            quiet: common.quiet,
            verbose: common.verbose > 0,
            color: stderr_is_terminal && !no_color,
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal,
            has_shown_data: Arc::default(),
        }
    }

    /// Whether standard error shows colors.
    pub(crate) fn has_color(&self) -> bool {
        self.color
    }

    /// Whether standard output is a terminal.
    pub(crate) fn is_terminal(&self) -> bool {
        self.stdout_is_terminal
    }

    /// Whether progress may be shown: not among lines that tell what is done, which would tear it.
    pub(crate) fn shows_progress(&self) -> bool {
        self.stderr_is_terminal && !self.quiet && !self.verbose
    }

    /// Shows data by a function that writes it.
    pub(crate) fn data(&self, show: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), Failure> {
        self.note_data();
        let mut stdout = BufWriter::with_capacity(64 << 10, io::stdout().lock());
        show(&mut stdout).and_then(|()| stdout.flush()).map_err(Failure::output)
    }

    /// A stream of data, and what tells afterwards whether all of it was taken.
    pub(crate) fn stream(&self) -> (DataStream, DataOutcome) {
        let failed = Arc::new(Mutex::new(None));
        let out = BufWriter::with_capacity(256 << 10, io::stdout());
        let has_shown_data = Arc::clone(&self.has_shown_data);
        (DataStream { out, has_shown_data, failed: Arc::clone(&failed) }, DataOutcome { failed })
    }

    /// Notes that data goes to where it cannot be taken back from.
    pub(crate) fn note_data(&self) {
        self.has_shown_data.store(true, Ordering::Relaxed);
    }

    /// Whether data went to standard output, or elsewhere for good, or is on its way.
    pub(crate) fn has_shown_data(&self) -> bool {
        self.has_shown_data.load(Ordering::Relaxed)
    }

    /// Shows a report as one JSON object.
    pub(crate) fn json(&self, report: &impl Serialize) -> Result<(), Failure> {
        self.data(|out| {
            if self.stdout_is_terminal {
                serde_json::to_writer_pretty(&mut *out, report)?;
            } else {
                serde_json::to_writer(&mut *out, report)?;
            }
            out.write_all(b"\n")
        })
    }

    /// Tells something by the way, on standard error, unless the user wants quiet.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            // Nobody is left to tell when standard error is gone.
            let _ = writeln!(io::stderr().lock(), "{text}");
        }
    }

    /// Tells what went wrong; where the command reports in JSON, as an object, too.
    pub(crate) fn failure(&self, failure: &Failure, json: bool) {
        if failure.is_silent() {
            return;
        }
        if json {
            let told = serde_json::to_string(&failure.report()).unwrap_or_default();
            let _ = writeln!(io::stderr().lock(), "{told}");
            return;
        }
        let (red, bold, plain) = if self.color { ("\x1b[1;31m", "\x1b[1m", "\x1b[0m") } else { ("", "", "") };
        let mut text = format!("{red}error:{plain} {bold}{}{plain}\n", printable(failure.message()));
        for cause in failure.causes() {
            text.push_str(&format!("  because: {}\n", printable(cause)));
        }
        text.push_str(&format!("{}\n", printable(failure.advice())));
        let _ = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// Data on its way to standard output; flushed when dropped.
#[derive(Debug)]
pub(crate) struct DataStream {
    out: BufWriter<Stdout>,
    has_shown_data: Arc<AtomicBool>,
    failed: Arc<Mutex<Option<io::Error>>>,
}

/// Whether all of a [`DataStream`] was taken.
#[derive(Debug)]
pub(crate) struct DataOutcome {
    failed: Arc<Mutex<Option<io::Error>>>,
}

impl DataStream {
    /// Keeps the first failure, and answers with one of the same kind.
    fn noted<T>(&self, done: io::Result<T>) -> io::Result<T> {
        done.map_err(|e| {
            let kind = e.kind();
            self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(e);
            kind.into()
        })
    }
}

impl DataStream {
    /// Writes a path: raw, or for a terminal escaped.
    pub(crate) fn write_path(&mut self, path: &[u8], escape: bool) -> io::Result<()> {
        if escape { self.write_all(printable_path(path).as_bytes()) } else { self.write_all(path) }
    }
}

impl Write for DataStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.has_shown_data.store(true, Ordering::Relaxed);
        let done = self.out.write(bytes);
        self.noted(done)
    }

    fn flush(&mut self) -> io::Result<()> {
        let done = self.out.flush();
        self.noted(done)
    }
}

impl Drop for DataStream {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

impl DataOutcome {
    /// What came of the work that wrote the stream, which is gone by now; a failure of standard output comes first.
    pub(crate) fn settle<T>(self, done: floe_core::Result<T>) -> Result<T, Failure> {
        match self.failed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(e) => Err(Failure::output(e)),
            None => Ok(done?),
        }
    }
}

/// The same text without what would steer a terminal.
pub(crate) fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' => printable.push_str("\n    "),
            _ if character.is_control() || is_direction(character) => {
                printable.extend(character.escape_default());
            }
            _ => printable.push(character),
        }
    }
    printable
}

/// A path or name from a snapshot as text that a terminal shows and does not obey.
pub(crate) fn printable_path(path: &[u8]) -> String {
    let mut printable = String::with_capacity(path.len());
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_control() || is_direction(character) {
                printable.extend(character.escape_default());
            } else {
                printable.push(character);
            }
        }
        for byte in chunk.invalid() {
            printable.push_str(&format!("\\x{byte:02x}"));
        }
    }
    printable
}

/// A path in a JSON report: as text, and where it is not UTF-8 its bytes in hexadecimal beside that.
#[derive(Debug, Serialize)]
pub(crate) struct ShownPath<'a> {
    path: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
}

impl<'a> ShownPath<'a> {
    /// This path.
    pub(crate) fn new(path: &'a [u8]) -> Self {
        Self { path: String::from_utf8_lossy(path), path_hex: hex_unless_text(path) }
    }
}

/// The bytes of a path in hexadecimal, where it is not UTF-8.
pub(crate) fn hex_unless_text(path: &[u8]) -> Option<String> {
    let hex = || path.iter().map(|byte| format!("{byte:02x}")).collect();
    std::str::from_utf8(path).is_err().then(hex)
}

/// Whether a character changes the direction in which its neighbours are shown.
fn is_direction(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_from_a_snapshot_steers_no_terminal() {
        assert_eq!(printable_path("plain/ä.txt".as_bytes()), "plain/ä.txt");
        assert_eq!(printable_path(b"a\x1b[2Jb\nc\xffd"), "a\\u{1b}[2Jb\\nc\\xffd");
        assert_eq!(printable_path("a\u{202e}txt".as_bytes()), "a\\u{202e}txt");
        assert_eq!(printable("two\nlines\x07\u{202e}"), "two\n    lines\\u{7}\\u{202e}");
    }
}
