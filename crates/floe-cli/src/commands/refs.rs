//! The refs of a namespace, as `floe ls` without a reference lists them.

use std::collections::BTreeSet;

use floe_core::{ErrorKind, Generation, Namespace, RefName, RefNames, Remedy, Snapshot};
use futures::{StreamExt, stream};
use serde::Serialize;

use crate::advice;
use crate::commands::generation::GenerationReport;
use crate::counting::TrafficReport;
use crate::failure::{Code, Failure, TOO_NEW};
use crate::output::printable;
use crate::quantities::{ByteCount, age, count, thousands};
use crate::session::{Limits, Session};

/// How many refs are read at once.
const READS_AT_ONCE: usize = 16;

#[derive(Serialize)]
struct RefsReport<'a> {
    namespace: &'a str,
    refs: Vec<RefReport<'a>>,
    /// Refs that cannot be read, or whose snapshots cannot; and what stands among the refs and is none.
    damages: Vec<DamageReport<'a>>,
    /// Refs that need another version than this one.
    unsupported: Vec<DamageReport<'a>>,
    #[serde(flatten)]
    traffic: TrafficReport,
}

#[derive(Serialize)]
struct RefReport<'a> {
    #[serde(rename = "ref")]
    name: &'a str,
    #[serde(flatten)]
    generation: GenerationReport<'a>,
    entry_count: u64,
    file_count: u64,
    file_bytes: u64,
}

#[derive(Serialize)]
struct DamageReport<'a> {
    #[serde(rename = "ref")]
    name: &'a str,
    error: &'a str,
}

/// A ref that names something, and how big that is.
struct ListedRef {
    name: RefName,
    generation: Generation,
    entries: u64,
    files: u64,
    file_bytes: u64,
}

pub(crate) async fn list(session: &Session, json: bool) -> Result<Code, Failure> {
    let namespace = &session.namespace(Limits::default()).await?;
    let found = namespace.ref_names().await?;
    let read: Vec<(RefName, floe_core::Result<Option<ListedRef>>)> = stream::iter(found.names)
        .map(|name| async move { (name.clone(), read(namespace, name).await) })
        .buffered(READS_AT_ONCE)
        .collect()
        .await;
    let (mut refs, mut damages, mut unsupported) = (Vec::new(), Noted::new(), Noted::new());
    let mut remedies = BTreeSet::new();
    for (name, read) in read {
        match read {
            Ok(listed) => refs.extend(listed),
            // One that is damaged does not hide the others.
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                remedies.insert(error.remedy());
                damages.push((name.to_string(), error.to_string()));
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                unsupported.push((name.to_string(), error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let unread = damages.len() as u64;
    let strays = found.strays.len() as u64;
    if strays > 0 {
        remedies.insert(Some(Remedy::Remove));
    }
    damages.extend(found.strays.into_iter().map(|key| (key, RefNames::STRAY.to_owned())));
    if json {
        let refs = refs
            .iter()
            .map(|listed| RefReport {
                name: listed.name.as_str(),
                generation: GenerationReport::new(&listed.generation),
                entry_count: listed.entries,
                file_count: listed.files,
                file_bytes: listed.file_bytes,
            })
            .collect();
        let (damages, unsupported) = (reports(&damages), reports(&unsupported));
        let (namespace, traffic) = (namespace.name().as_str(), session.traffic());
        session.output().json(&RefsReport { namespace, refs, damages, unsupported, traffic })?;
    } else {
        if refs.is_empty() && damages.is_empty() && unsupported.is_empty() {
            session.output().note("No ref names anything here; `floe push PATH REF` makes one.");
        }
        show(session, &refs)?;
        for (what, noted) in [("damaged", &damages), ("too new", &unsupported)] {
            for (name, message) in noted {
                session.output().note(&format!("{what}: {}: {}", printable(name), printable(message)));
            }
        }
    }
    if damages.is_empty() && !unsupported.is_empty() {
        let message = count(unsupported.len() as u64, "ref is too new", "refs are too new");
        return Err(Failure::new(Code::Failed, message, TOO_NEW));
    }
    if damages.is_empty() {
        return Ok(Code::Done);
    }
    let message = match unread {
        0 => count(strays, "object is where only refs may be", "objects are where only refs may be"),
        _ => count(unread, "ref cannot be read", "refs cannot be read"),
    };
    let again = "Run `floe verify` to see what is damaged; push again from the source with --full, or restore the \
                 objects from a copy of the store.";
    Err(Failure::new(Code::Corrupt, message, advice::on_damages(&remedies, again)))
}

/// Names, and what is wrong with what has them.
type Noted = Vec<(String, String)>;

fn reports(noted: &Noted) -> Vec<DamageReport<'_>> {
    noted.iter().map(|(name, error)| DamageReport { name, error }).collect()
}

/// Reads one ref and the snapshot that it names; `None` for one that was removed.
async fn read(namespace: &Namespace, name: RefName) -> floe_core::Result<Option<ListedRef>> {
    let Some((record, _)) = namespace.read_ref(&name).await? else { return Ok(None) };
    let Some(at) = record.current.at() else { return Ok(None) };
    let snapshot = Snapshot::open(namespace, at).await?;
    let root = snapshot.root();
    let (entries, files, file_bytes) = (root.entries, root.files, root.file_bytes);
    Ok(Some(ListedRef { name, generation: record.current, entries, files, file_bytes }))
}

fn show(session: &Session, refs: &[ListedRef]) -> Result<(), Failure> {
    let now = session.now();
    let width = refs.iter().map(|listed| listed.name.as_str().len()).max().unwrap_or(0);
    session.output().data(|out| {
        for listed in refs {
            let name = format!("{}@{}", listed.name, listed.generation.generation);
            writeln!(
                out,
                "{name:width$}  {:>9} {:5}  {:>10}  {}",
                thousands(listed.files),
                if listed.files == 1 { "file" } else { "files" },
                ByteCount(listed.file_bytes),
                age(listed.generation.time, now),
                width = width + 6,
            )?;
        }
        Ok(())
    })
}
