//! Progress on a terminal: bytes, rate, time left, reused share; what is not known is not shown.
//!
//! The engine counts, this samples. Nothing is drawn in the first quarter of a second, so that short commands leave
//! no flicker, and nothing stays when the command has ended.

use std::time::Duration;

use floe_core::store::{SystemTimer, Timer as _};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;

use crate::output::Output;
use crate::pace::Pace;
use crate::quantities::{ByteCount, count, duration, percent};

const DELAY: Duration = Duration::from_millis(250);
const INTERVAL: Duration = Duration::from_millis(100);

/// As wide as a terminal is that does not say.
const COLUMNS: usize = 80;
/// The bar's columns, where there is much room and where there is little.
const BAR_COLUMNS: (usize, usize) = (25, 12);
/// There is much room in this many columns.
const MANY_COLUMNS: usize = 120;
/// There is room for a bar in this many.
const ENOUGH_COLUMNS: usize = 60;

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

impl Moment {
    /// This, without a total that was exceeded by so much that it was none: of a source that grew, say.
    fn believed(self) -> Self {
        let is_total = |total: &u64| self.bytes <= total.saturating_add(total / 10);
        Self { total_bytes: self.total_bytes.filter(is_total), ..self }
    }
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
            let mut shape = Shape::Spinner;
            drawn.set_style(shape.style());
            let timer = SystemTimer::default();
            loop {
                let (moment, columns) = (sample().believed(), columns());
                pace.note(timer.elapsed(), moment.bytes);
                let wanted = Shape::of(columns, moment.total_bytes.is_some());
                // Before its shape changes, which would draw what it said before.
                drawn.set_message(message(&moment, &pace, wanted.room(columns, what)));
                if std::mem::replace(&mut shape, wanted) != wanted {
                    drawn.set_style(shape.style());
                }
                if let Some(total) = moment.total_bytes {
                    drawn.set_length(total.max(moment.bytes));
                }
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

/// What is known, the most important first, as far as it fits.
fn message(moment: &Moment, pace: &Pace, room: usize) -> String {
    let bytes = ByteCount(moment.bytes);
    let total = moment.total_bytes.map(|total| format!("{bytes}/{}", ByteCount(total.max(moment.bytes))));
    let left = moment.total_bytes.and_then(|total| pace.left(total)).map(|left| match left.as_secs() {
        seconds @ ..60 => format!("{} s left", seconds.max(1)),
        _ => format!("{} left", duration(left)),
    });
    let parts = [
        Some(total.unwrap_or_else(|| bytes.to_string())),
        pace.bytes_per_second().map(|rate| format!("{}/s", ByteCount(rate))),
        left,
        moment.reused_bytes.map(|reused| format!("{:.0} % reused", percent(reused, moment.bytes))),
        moment.uploaded_bytes.map(|uploaded| format!("{} uploaded", ByteCount(uploaded))),
        moment.files.map(|files| count(files, "file", "files")),
    ];
    let mut message = String::new();
    for part in parts.iter().flatten() {
        let separator = if message.is_empty() { "" } else { ", " };
        if message.len() + separator.len() + part.len() <= room {
            message.push_str(separator);
            message.push_str(part);
        }
    }
    message
}

/// How wide the terminal is, which may be made wider meanwhile.
fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
    size.map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0).unwrap_or(COLUMNS)
}

/// What is drawn between what is done and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// Something that turns, for nobody knows how much there is to do.
    Spinner,
    /// A bar of so many columns.
    Bar(usize),
    /// Nothing, where a bar would leave too little room.
    Nothing,
}

impl Shape {
    /// The one for a terminal of so many columns.
    fn of(columns: usize, is_total_known: bool) -> Self {
        match columns {
            _ if !is_total_known => Self::Spinner,
            ..ENOUGH_COLUMNS => Self::Nothing,
            ENOUGH_COLUMNS..MANY_COLUMNS => Self::Bar(BAR_COLUMNS.1),
            _ => Self::Bar(BAR_COLUMNS.0),
        }
    }

    /// What it leaves of the columns, without the last, at which terminals break the line.
    fn room(self, columns: usize, what: &str) -> usize {
        let taken = match self {
            Self::Spinner => 3,
            Self::Bar(width) => width + 4,
            Self::Nothing => 1,
        };
        columns.saturating_sub(what.len() + taken + 1)
    }

    fn style(self) -> ProgressStyle {
        let template = match self {
            Self::Spinner => "{prefix} {spinner} {msg}".to_owned(),
            Self::Bar(columns) => format!("{{prefix}} [{{bar:{columns}}}] {{msg}}"),
            Self::Nothing => "{prefix} {msg}".to_owned(),
        };
        ProgressStyle::with_template(&template).expect("the templates are tested").progress_chars("=> ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_templates_are_sound() {
        for columns in 0..200 {
            Shape::of(columns, true).style();
            Shape::of(columns, false).style();
        }
    }

    #[test]
    fn the_message_tells_what_is_known() {
        let mut moment = Moment { bytes: 200, ..Moment::default() };
        let mut pace = Pace::default();
        let told = |moment: &Moment, pace: &Pace| message(moment, pace, 100);
        assert_eq!(told(&moment, &pace), "200 B");
        moment.files = Some(1_234);
        assert_eq!(told(&moment, &pace), "200 B, 1,234 files");
        moment.reused_bytes = Some(50);
        moment.uploaded_bytes = Some(2 << 10);
        assert_eq!(told(&moment, &pace), "200 B, 25 % reused, 2.0 KiB uploaded, 1,234 files");
        pace.note(Duration::ZERO, 0);
        pace.note(Duration::from_secs(2), 200);
        moment = Moment { bytes: 200, total_bytes: Some(1_200), ..Moment::default() };
        assert_eq!(told(&moment, &pace), "200 B/1.2 KiB, 100 B/s, 10 s left");
        moment.total_bytes = Some(20_200);
        assert_eq!(told(&moment, &pace), "200 B/19.7 KiB, 100 B/s, 3 min 20 s left");
        moment.total_bytes = Some(200);
        assert_eq!(told(&moment, &pace), "200 B/200 B, 100 B/s");
    }

    #[test]
    fn a_total_that_is_none_is_not_told() {
        for (bytes, is_told) in [(0, true), (100, true), (110, true), (111, false), (u64::MAX, false)] {
            let moment = Moment { bytes, total_bytes: Some(100), ..Moment::default() };
            assert_eq!(moment.believed().total_bytes.is_some(), is_told, "{bytes}");
        }
    }

    #[test]
    fn the_message_is_no_longer_than_its_room() {
        let moment = Moment {
            bytes: 112_300_000,
            total_bytes: Some(277_000_000),
            reused_bytes: Some(0),
            files: Some(22_359),
            uploaded_bytes: Some(40 << 20),
        };
        let mut pace = Pace::default();
        pace.note(Duration::ZERO, 0);
        pace.note(Duration::from_secs(3), moment.bytes);
        let whole = message(&moment, &pace, usize::MAX);
        assert_eq!(
            whole,
            "107.1 MiB/264.2 MiB, 35.7 MiB/s, 4 s left, 0 % reused, 40.0 MiB uploaded, 22,359 files"
        );
        // On a terminal of 80 columns.
        let on = |columns| message(&moment, &pace, Shape::of(columns, true).room(columns, "Pushing"));
        assert_eq!(on(80), "107.1 MiB/264.2 MiB, 35.7 MiB/s, 4 s left, 0 % reused");
        assert_eq!(on(40), "107.1 MiB/264.2 MiB, 35.7 MiB/s");
        for room in 0..=whole.len() {
            assert!(message(&moment, &pace, room).len() <= room);
        }
    }
}
