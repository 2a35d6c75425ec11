//! `floe log`.

use clap::Args;
use floe_core::{Error, ErrorKind, Generation, RefName, Reference};
use serde::Serialize;

use crate::arguments::ReportArguments;
use crate::commands::generation::GenerationReport;
use crate::counting::TrafficReport;
use crate::failure::{Code, Failure};
use crate::output::printable;
use crate::quantities::{age, count, short_id};
use crate::session::Session;

/// Show what a ref named, the newest generation first
#[derive(Clone, Debug, Args)]
pub(crate) struct LogArguments {
    /// The ref's name
    #[arg(value_name = "REF")]
    name: RefName,
    /// Show at most so many
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_count: Option<u32>,
    #[command(flatten)]
    pub(crate) report: ReportArguments,
}

#[derive(Serialize)]
struct LogReport<'a> {
    #[serde(rename = "ref")]
    name: &'a str,
    fence: u64,
    generations: Vec<GenerationReport<'a>>,
    #[serde(flatten)]
    traffic: TrafficReport,
}

pub(crate) async fn run(session: &Session, arguments: LogArguments) -> Result<Code, Failure> {
    let (namespace, _) = session.namespace_as_it_is().await?;
    let name = &arguments.name;
    let Some((record, _)) = namespace.read_ref(name).await? else {
        // The engine knows which names look alike.
        let missing = namespace.resolve(&Reference::Ref(name.clone())).await.err();
        let missing =
            missing.unwrap_or_else(|| Error::new(ErrorKind::Conflict, format!("`{name}` was made just now")));
        return Err(missing.into());
    };
    let shown = arguments.max_count.map_or(usize::MAX, |count| usize::try_from(count).unwrap_or(usize::MAX));
    let generations = || std::iter::once(&record.current).chain(&record.history).take(shown);
    if arguments.report.json {
        let generations = generations().map(GenerationReport::new).collect();
        let traffic = session.traffic();
        session.output().json(&LogReport {
            name: name.as_str(),
            fence: record.fence,
            generations,
            traffic,
        })?;
        return Ok(Code::Done);
    }
    let now = session.now();
    session.output().data(|out| {
        for generation in generations() {
            writeln!(out, "{}", line(name, generation, now))?;
            if let Some(text) = &generation.message {
                writeln!(out, "    {}", printable(text))?;
            }
        }
        Ok(())
    })?;
    Ok(Code::Done)
}

fn line(name: &RefName, generation: &Generation, now: jiff::Timestamp) -> String {
    let what = match generation.at() {
        Some(at) => short_id(&at.snapshot),
        None => "removed".to_owned(),
    };
    let mut line = format!(
        "{name}@{}  {what}  {} ({})",
        generation.generation,
        generation.time,
        age(generation.time, now)
    );
    for (label, value) in &generation.labels {
        line.push_str(&format!("  {}={}", printable(label), printable(value)));
    }
    if generation.skipped > 0 {
        let entries = count(generation.skipped, "unreadable entry", "unreadable entries");
        line.push_str(&format!("  without {entries}"));
    }
    line
}
