//! What is told of a pull.

use std::time::Duration;

use floe_core::{PullOutcome, Pulled, Resolved};
use serde::Serialize;

use crate::counting::TrafficReport;
use crate::output::{ShownPath, printable};
use crate::quantities::{ByteCount, count, duration, thousands};
use crate::session::Session;
use crate::tree_path::TreePath;

#[derive(Serialize)]
struct PullReport<'a> {
    #[serde(rename = "ref")]
    name: Option<&'a str>,
    generation: Option<u64>,
    snapshot: String,
    layout: String,
    #[serde(flatten)]
    path: ShownPath<'a>,
    outcome: &'static str,
    entry_count: u64,
    file_count: u64,
    file_bytes: u64,
    written_file_count: u64,
    written_file_bytes: u64,
    removed_name_count: u64,
    skipped_device_count: u64,
    fetched_frame_bytes: u64,
    complaint_count: u64,
    complaints: &'a [String],
    elapsed_seconds: f64,
    #[serde(flatten)]
    traffic: TrafficReport,
}

/// What is told of a pull that has ended.
pub(super) struct Told<'a> {
    pub(super) session: &'a Session,
    pub(super) resolved: &'a Resolved,
    pub(super) source: &'a TreePath,
}

impl Told<'_> {
    /// The report in JSON.
    pub(super) fn report<'p>(&'p self, pulled: &'p Pulled) -> impl Serialize + 'p {
        let named = self.resolved.generation.as_ref();
        PullReport {
            name: named.map(|(name, _)| name.as_str()),
            generation: named.map(|(_, generation)| generation.generation),
            snapshot: self.resolved.at.snapshot.to_string(),
            layout: self.resolved.at.layout.to_string(),
            path: ShownPath::new(&self.source.path),
            outcome: match pulled.outcome {
                PullOutcome::Created => "created",
                PullOutcome::Updated => "updated",
                PullOutcome::Unchanged => "unchanged",
                PullOutcome::DryRun => "dry_run",
            },
            entry_count: pulled.entries,
            file_count: pulled.files,
            file_bytes: pulled.file_bytes,
            written_file_count: pulled.written_files,
            written_file_bytes: pulled.written_bytes,
            removed_name_count: pulled.removed,
            skipped_device_count: pulled.skipped_devices,
            fetched_frame_bytes: pulled.fetched_bytes,
            complaint_count: pulled.complaints.count,
            complaints: &pulled.complaints.first,
            elapsed_seconds: self.session.elapsed().as_secs_f64(),
            traffic: self.session.traffic(),
        }
    }

    /// Tells a person; beside a report in JSON only what that does not say.
    pub(super) fn show(&self, pulled: &Pulled, json: bool) {
        let output = self.session.output();
        for glob in &pulled.unmatched {
            output.note(&format!("warning: --include {} matched nothing", printable(glob)));
        }
        if json {
            return;
        }
        if pulled.skipped_devices > 0 {
            let devices = count(pulled.skipped_devices, "device node", "device nodes");
            output.note(&format!("left out: {devices}; --devices makes them"));
        }
        let complaints = &pulled.complaints;
        for complaint in &complaints.first {
            output.note(&format!("not restored: {}", printable(complaint)));
        }
        let more = complaints.count.saturating_sub(complaints.first.len() as u64);
        if more > 0 {
            output.note(&format!("not restored: {} more", thousands(more)));
        }
        output.note(&closing_line(pulled, self.session.elapsed()));
    }
}

fn closing_line(pulled: &Pulled, elapsed: Duration) -> String {
    let all = format!("{} ({})", count(pulled.files, "file", "files"), ByteCount(pulled.file_bytes));
    let (write, remove) = match pulled.outcome {
        PullOutcome::DryRun => ("to write", "to remove"),
        _ => ("written", "removed"),
    };
    let written = format!("{} {write}", count(pulled.written_files, "file", "files"));
    let removed = match pulled.removed {
        0 => String::new(),
        removed => format!(", {} {remove}", count(removed, "name", "names")),
    };
    let time = duration(elapsed);
    match pulled.outcome {
        PullOutcome::Unchanged => {
            format!("Unchanged: {all}, as the snapshot has them; looked at in {time}.")
        }
        PullOutcome::DryRun => format!("Would pull {all}: {written}{removed}; found in {time}."),
        PullOutcome::Created => {
            format!("Pulled {all}, {} from the store, in {time}.", ByteCount(pulled.fetched_bytes))
        }
        PullOutcome::Updated => format!(
            "Pulled {all}: {written}{removed}, {} from the store, in {time}.",
            ByteCount(pulled.fetched_bytes)
        ),
    }
}
