//! Progress on a terminal: bytes, rate, time left, reused share; what is not known is not shown.
//!
//! The engine counts, this samples. Nothing is drawn in the first quarter of a second, so that short commands leave
//! no flicker, and nothing stays when the command has ended.

use std::fmt::Write;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tokio::task::JoinHandle;

use crate::output::Output;
use crate::pace::Pace;
use crate::quantities::{ByteCount, count, duration, percent};

const DELAY: Duration = Duration::from_millis(250);
const INTERVAL: Duration = Duration::from_millis(100);

const MEASURED: &str = "{prefix} [{bar:25}] {bytes}/{total_bytes}{msg}";
const UNMEASURED: &str = "{prefix} {spinner} {bytes}{msg}";

/// How far a command is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Moment {
    /// Bytes dealt with.
    pub(crate) bytes: u64,
    /// Bytes in all, where that is known.
    pub(crate) total_bytes: Option<u64>,
    /// Of those dealt with, how many needed no moving.
    pub(crate) reused_bytes: Option<u64>,
    /// Files dealt with, where they are counted.
    pub(crate) files: Option<u64>,
    /// Bytes sent to the store.
    pub(crate) uploaded_bytes: Option<u64>,
}

/// A bar that is shown while this lives.
#[derive(Debug)]
pub(crate) struct Progress {
    task: Option<JoinHandle<()>>,
    bar: ProgressBar,
}

impl Progress {
    /// Begins to show what `sample` tells, and how fast that goes, where standard error is a terminal.
    pub(crate) fn start(
        output: &Output,
        what: &'static str,
        mut pace: Pace,
        mut sample: impl FnMut() -> Moment + Send + 'static,
    ) -> Self {
        if !output.shows_progress() {
            return Self { task: None, bar: ProgressBar::hidden() };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()).with_prefix(what);
        let drawn = bar.clone();
        let task = tokio::spawn(async move {
            tokio::time::sleep(DELAY).await;
            drawn.set_draw_target(ProgressDrawTarget::stderr());
            drawn.set_style(style(UNMEASURED));
            let mut measured = false;
            let started = Instant::now();
            loop {
                let moment = sample();
                pace.note(started.elapsed(), moment.bytes);
                if let Some(total) = moment.total_bytes {
                    if !measured {
                        drawn.set_style(style(MEASURED));
                        measured = true;
                    }
                    drawn.set_length(total.max(moment.bytes));
                }
                drawn.set_message(message(&moment, &pace));
                drawn.set_position(moment.bytes);
                drawn.tick();
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { task: Some(task), bar }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
            self.bar.finish_and_clear();
        }
    }
}

fn message(moment: &Moment, pace: &Pace) -> String {
    let mut message = String::new();
    if let Some(rate) = pace.bytes_per_second() {
        message.push_str(&format!(", {}/s", ByteCount(rate)));
    }
    if let Some(left) = moment.total_bytes.and_then(|total| pace.left(total)) {
        let seconds = left.as_secs();
        let left = if seconds < 60 { format!("{} s", seconds.max(1)) } else { duration(left) };
        message.push_str(&format!(", {left} left"));
    }
    if let Some(files) = moment.files {
        message.push_str(&format!(", {}", count(files, "file", "files")));
    }
    if let Some(reused) = moment.reused_bytes {
        message.push_str(&format!(", {:.0} % reused", percent(reused, moment.bytes)));
    }
    if let Some(uploaded) = moment.uploaded_bytes {
        message.push_str(&format!(", {} uploaded", ByteCount(uploaded)));
    }
    message
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).expect("the templates are tested");
    style.progress_chars("=> ").with_key("bytes", bytes).with_key("total_bytes", total_bytes)
}

/// Bytes as they are written everywhere else.
fn bytes(state: &ProgressState, out: &mut dyn Write) {
    write!(out, "{}", ByteCount(state.pos())).expect("a string takes all");
}

fn total_bytes(state: &ProgressState, out: &mut dyn Write) {
    write!(out, "{}", ByteCount(state.len().unwrap_or_default())).expect("a string takes all");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_sound() {
        style(MEASURED);
        style(UNMEASURED);
    }

    #[test]
    fn the_message_tells_files_and_reused_share() {
        let mut moment = Moment { bytes: 200, ..Moment::default() };
        let mut pace = Pace::default();
        assert_eq!(message(&moment, &pace), "");
        moment.files = Some(1_234);
        assert_eq!(message(&moment, &pace), ", 1,234 files");
        moment.reused_bytes = Some(50);
        assert_eq!(message(&moment, &pace), ", 1,234 files, 25 % reused");
        moment.uploaded_bytes = Some(2 << 10);
        assert_eq!(message(&moment, &pace), ", 1,234 files, 25 % reused, 2.0 KiB uploaded");
        pace.note(Duration::ZERO, 0);
        pace.note(Duration::from_secs(2), 200);
        moment = Moment { bytes: 200, total_bytes: Some(1_200), ..Moment::default() };
        assert_eq!(message(&moment, &pace), ", 100 B/s, 10 s left");
        moment.total_bytes = Some(20_200);
        assert_eq!(message(&moment, &pace), ", 100 B/s, 3 min 20 s left");
        moment.total_bytes = Some(200);
        assert_eq!(message(&moment, &pace), ", 100 B/s");
    }
}
