//! What is told of a push.

use std::time::Duration;

use floe_core::source::OwnFound;
use floe_core::{PushOutcome, Pushed, RefName};
use serde::Serialize;

use crate::counting::TrafficReport;
use crate::failure::Failure;
use crate::output::{ShownPath, printable, printable_path};
use crate::quantities::{ByteCount, count, duration, percent, thousands};
use crate::session::Session;

#[derive(Serialize)]
struct PushReport<'a> {
    #[serde(rename = "ref")]
    name: &'a str,
    generation: Option<u64>,
    snapshot: String,
    layout: Option<String>,
    outcome: &'static str,
    entry_count: u64,
    file_count: u64,
    file_bytes: u64,
    tar_bytes: u64,
    reused_file_count: u64,
    reused_file_bytes: u64,
    reused_tar_bytes: u64,
    uploaded_bytes: u64,
    uploaded_pack_count: u64,
    skipped: Vec<UnreadReport<'a>>,
    skipped_socket_count: u64,
    elapsed_seconds: f64,
    #[serde(flatten)]
    traffic: TrafficReport,
}

#[derive(Serialize)]
struct UnreadReport<'a> {
    #[serde(flatten)]
    path: ShownPath<'a>,
    error: String,
}

/// What is told of a push that has ended.
pub(super) struct Told<'a> {
    pub(super) session: &'a Session,
    pub(super) name: &'a RefName,
    pub(super) pushed: &'a Pushed,
    /// Whether it was to have a message or labels.
    pub(super) is_annotated: bool,
}

impl Told<'_> {
    fn generation(&self) -> Option<u64> {
        match &self.pushed.outcome {
            PushOutcome::Committed(record) | PushOutcome::Unchanged(record) => {
                Some(record.current.generation)
            }
            PushOutcome::DryRun => None,
        }
    }

    /// The report in JSON.
    pub(super) fn report(&self) -> impl Serialize {
        let Self { pushed, session, .. } = self;
        let generation = self.generation();
        PushReport {
            name: self.name.as_str(),
            generation,
            snapshot: pushed.at.snapshot.to_string(),
            layout: generation.map(|_| pushed.at.layout.to_string()),
            outcome: match pushed.outcome {
                PushOutcome::Committed(_) => "committed",
                PushOutcome::Unchanged(_) => "unchanged",
                PushOutcome::DryRun => "dry_run",
            },
            entry_count: pushed.entries,
            file_count: pushed.files,
            file_bytes: pushed.file_bytes,
            tar_bytes: pushed.tar_bytes,
            reused_file_count: pushed.reused_files,
            reused_file_bytes: pushed.reused_file_bytes,
            reused_tar_bytes: pushed.reused_tar_bytes,
            uploaded_bytes: pushed.uploaded_bytes,
            uploaded_pack_count: pushed.packs,
            skipped: skipped(pushed),
            skipped_socket_count: pushed.sockets,
            elapsed_seconds: session.elapsed().as_secs_f64(),
            traffic: session.traffic(),
        }
    }

    /// Shows the generation and its snapshot.
    pub(super) fn show_snapshot(&self) -> Result<(), Failure> {
        let (name, snapshot) = (self.name, self.pushed.at.snapshot);
        self.session.output().data(|out| match self.generation() {
            Some(generation) => writeln!(out, "{name}@{generation} {snapshot}"),
            None => writeln!(out, "{snapshot}"),
        })
    }

    /// Tells a person; beside a report in JSON only what that does not say.
    pub(super) fn show(&self, json: bool) {
        let Self { pushed, session, .. } = self;
        let output = session.output();
        if !json {
            for unread in &pushed.skipped {
                let reason = printable(&unread.reason());
                output.note(&format!("left out: {}: {reason}", printable_path(&unread.path)));
            }
            for own in &pushed.own {
                output.note(&format!("left out: {}: {}", printable_path(&own.path), reason(own)));
            }
            if pushed.sockets > 0 {
                output.note(&format!("left out: {}", count(pushed.sockets, "socket", "sockets")));
            }
            output.note(&closing_line(pushed, session.elapsed()));
        }
        if self.is_annotated && matches!(pushed.outcome, PushOutcome::Unchanged(_)) {
            output.note("Without a new generation, message and labels are not kept.");
        }
    }
}

fn skipped(pushed: &Pushed) -> Vec<UnreadReport<'_>> {
    let report = |path, error| UnreadReport { path: ShownPath::new(path), error };
    let unread = pushed.skipped.iter().map(|unread| report(&unread.path, unread.reason()));
    unread.chain(pushed.own.iter().map(|own| report(&own.path, reason(own)))).collect()
}

/// Why a directory of Floe's own is left out.
fn reason(own: &OwnFound) -> String {
    format!("{} of this very command", own.purpose)
}

fn closing_line(pushed: &Pushed, elapsed: Duration) -> String {
    let all = format!("{} ({})", count(pushed.files, "file", "files"), ByteCount(pushed.file_bytes));
    let time = duration(elapsed);
    let (done, uploaded) = match &pushed.outcome {
        PushOutcome::Unchanged(record) => {
            let generation = record.current.generation;
            return format!("Unchanged: {all}, as generation {generation} has them; looked at in {time}.");
        }
        PushOutcome::Committed(_) => ("Pushed", "uploaded"),
        PushOutcome::DryRun => ("Would push", "to upload; found"),
    };
    let reused = match (pushed.reused_files, pushed.reused_tar_bytes) {
        // What a tree repeats itself is no reuse to tell of.
        (0, bytes) if percent(bytes, pushed.tar_bytes) < 1.0 => "nothing reused".to_owned(),
        (files, bytes) if percent(bytes, pushed.tar_bytes) < 1.0 => {
            format!("{} unchanged, but stored again", count(files, "file", "files"))
        }
        (files, bytes) => {
            let share = percent(bytes, pushed.tar_bytes).floor();
            // Of files that changed parts are, and of all that a push before sent that did not come to its end.
            let files =
                if files == 0 { String::new() } else { format!("{} and ", count(files, "file", "files")) };
            format!("{files}{share:.0} % of all bytes reused")
        }
    };
    let mut line =
        format!("{done} {all}: {reused}, {} {uploaded} in {time}", ByteCount(pushed.uploaded_bytes));
    // In tenths, both as they are stored; what is sent is the best measure of a push over a slow line.
    let tenths = pushed.archive_bytes.saturating_mul(10).checked_div(pushed.uploaded_bytes).unwrap_or(0);
    if tenths > 10 && pushed.reused_tar_bytes > 0 {
        let times =
            if tenths < 100 { format!("{}.{}", tenths / 10, tenths % 10) } else { thousands(tenths / 10) };
        line.push_str(&format!("; by bytes sent {times} times faster than sending everything"));
    }
    line.push('.');
    line
}
