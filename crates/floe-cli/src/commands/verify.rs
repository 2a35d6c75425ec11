//! `floe verify`.

use std::sync::Arc;

use clap::Args;
use floe_core::{Damage, RefName, Verified, VerifyOptions};
use serde::Serialize;

use crate::advice;
use crate::arguments::ReportArguments;
use crate::counting::TrafficReport;
use crate::failure::{Code, Failure};
use crate::output::printable;
use crate::quantities::{ByteCount, count, duration};
use crate::session::{Limits, Session};

/// Check that all that refs name, now and in their histories, is there and is what its ids say
///
/// Data is read twice: once for the packs, every byte of them, and once for the trees that are in them.
///
/// Ends with exit code 3 where something is damaged, missing or on a bad sector, after all else was looked at, but where
/// `format.json` is, without which nothing can be; with 1 where something is too new for this version to tell. What is
/// affected are the generations of refs that have something damaged, or are in a pack that is.
///
/// A pack that no ref needs may be of a push that is under way, and is not to be removed by hand.
#[derive(Clone, Debug, Args)]
pub(crate) struct VerifyArguments {
    /// Which refs [default: all; then packs that none of them needs are named too]
    #[arg(value_name = "REF")]
    refs: Vec<RefName>,
    /// Look at existence and structure alone, and read no data
    #[arg(long)]
    quick: bool,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

#[derive(Serialize)]
struct VerifyReport<'a> {
    namespace: &'a str,
    ref_count: u64,
    snapshot_count: u64,
    pack_count: u64,
    quick: bool,
    damages: Vec<DamageReport<'a>>,
    affected: Vec<AffectedReport<'a>>,
    unsupported: Vec<DamageReport<'a>>,
    unreferenced_packs: Vec<String>,
    elapsed_seconds: f64,
    #[serde(flatten)]
    traffic: TrafficReport,
}

#[derive(Serialize)]
struct AffectedReport<'a> {
    #[serde(rename = "ref")]
    name: &'a str,
    generation: u64,
}

#[derive(Serialize)]
struct DamageReport<'a> {
    object: &'a str,
    error: &'a str,
}

pub(crate) async fn run(session: &Session, arguments: VerifyArguments) -> Result<Code, Failure> {
    let namespace = session.namespace(Limits::default()).await?;
    let options = VerifyOptions {
        refs: arguments.refs,
        quick: arguments.quick,
        bytes_to_read: Arc::default(),
        cancel: session.interruption(),
    };
    let shown = session.show_reading("Verifying", Arc::clone(&options.bytes_to_read));
    let verified = floe_core::verify(&namespace, &options).await;
    drop(shown);
    let verified = verified?;
    let told = if arguments.report.json {
        session.output().json(&VerifyReport {
            namespace: namespace.name().as_str(),
            ref_count: verified.refs,
            snapshot_count: verified.snapshots,
            pack_count: verified.packs,
            quick: options.quick,
            damages: reports(&verified.damages),
            affected: verified
                .affected
                .iter()
                .map(|(name, generation)| AffectedReport { name: name.as_str(), generation: *generation })
                .collect(),
            unsupported: reports(&verified.unsupported),
            unreferenced_packs: verified.unreferenced.iter().map(ToString::to_string).collect(),
            elapsed_seconds: session.elapsed().as_secs_f64(),
            traffic: session.traffic(),
        })
    } else {
        let told = show(session, &verified);
        session.output().note(&closing_line(session, &verified, options.quick, session.elapsed()));
        told
    };
    if verified.damages.is_empty() && !verified.unsupported.is_empty() {
        let message =
            count(verified.unsupported.len() as u64, "object is unsupported", "objects are unsupported");
        return Err(Failure::unsupported(message));
    }
    if verified.damages.is_empty() {
        return told.map(|()| Code::Done);
    }
    let damages = count(verified.damages.len() as u64, "damage was found", "damages were found");
    let again = "Push again from the source with --full, which makes a whole generation (older ones that lost data stay \
                 damaged until they leave the ref's history), or restore the objects from a copy of the store.";
    let remedies = verified.damages.iter().map(|damage| damage.remedy).collect();
    Err(Failure::new(Code::Corrupt, damages, advice::on_damages(&remedies, again)))
}

fn reports(noted: &[Damage]) -> Vec<DamageReport<'_>> {
    noted.iter().map(|d| DamageReport { object: &d.object, error: &d.message }).collect()
}

fn show(session: &Session, verified: &Verified) -> Result<(), Failure> {
    session.output().data(|out| {
        for damage in &verified.damages {
            writeln!(out, "damaged: {}: {}", printable(&damage.object), printable(&damage.message))?;
        }
        for of_ref in verified.affected.chunk_by(|(a, _), (b, _)| a == b) {
            let generations: Vec<_> =
                of_ref.iter().map(|(name, number)| format!("{name}@{number}")).collect();
            writeln!(out, "affected: {}", generations.join(" "))?;
        }
        for new in &verified.unsupported {
            writeln!(out, "unsupported: {}: {}", printable(&new.object), printable(&new.message))?;
        }
        for pack in &verified.unreferenced {
            writeln!(out, "unreferenced: pack {pack}")?;
        }
        Ok(())
    })
}

fn closing_line(session: &Session, verified: &Verified, quick: bool, elapsed: std::time::Duration) -> String {
    let refs = count(verified.refs, "ref", "refs");
    let snapshots = count(verified.snapshots, "snapshot", "snapshots");
    let packs = count(verified.packs, "pack", "packs");
    let read = ByteCount(session.traffic().store_read_bytes);
    let data = if quick { ", no data" } else { "" };
    format!("Looked at {refs}, {snapshots}, {packs}; {read} read{data}; in {}.", duration(elapsed))
}
