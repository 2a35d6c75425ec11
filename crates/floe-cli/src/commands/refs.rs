//! The refs of a namespace, as `floe ls` without a reference lists them.

use std::collections::BTreeSet;

use floe_core::{ErrorKind, Generation, Namespace, RefName, RefNames, Remedy, Snapshot};
use floe_format::Root;
use futures::{StreamExt, stream};
use serde::Serialize;

use crate::advice;
use crate::commands::generation::GenerationReport;
use crate::counting::TrafficReport;
use crate::failure::{Code, Failure};
use crate::output::printable;
use crate::quantities::{ByteCount, age, count, short_id, thousands};
use crate::session::Session;

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
    #[serde(flatten)]
    size: Option<SizeReport>,
}

#[derive(Clone, Copy, Serialize)]
struct SizeReport {
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

/// A ref.
struct ListedRef {
    name: RefName,
    generation: Generation,
    names: Named,
}

/// What a ref names.
enum Named {
    /// A snapshot of this size.
    Snapshot(SizeReport),
    /// Nothing, since it was removed, and before what this generation says, if its history remembers any.
    Nothing(Option<u64>),
}

/// What is listed, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    /// The snapshots that refs name, too.
    pub(crate) long: bool,
    /// Refs that were removed, too.
    pub(crate) removed: bool,
    /// One JSON object.
    pub(crate) json: bool,
}

/// What stands among the refs.
#[derive(Default)]
struct Found {
    refs: Vec<ListedRef>,
    damages: Noted,
    unsupported: Noted,
    /// How many of the damages are of refs; the others are of what is none.
    unread: u64,
    remedies: BTreeSet<Option<Remedy>>,
}

pub(crate) async fn list(session: &Session, style: Style) -> Result<Code, Failure> {
    let (namespace, damage) = session.namespace_as_it_is().await?;
    let mut found = find(&namespace).await?;
    if !style.removed {
        found.refs.retain(|listed| matches!(listed.names, Named::Snapshot(_)));
    }
    if style.json {
        let refs = found.refs.iter().map(ListedRef::report).collect();
        let (damages, unsupported) = (reports(&found.damages), reports(&found.unsupported));
        let (namespace, traffic) = (namespace.name().as_str(), session.traffic());
        session.output().json(&RefsReport { namespace, refs, damages, unsupported, traffic })?;
    } else {
        show(session, &found, style.long)?;
    }
    match damage {
        Some(damage) => Err(damage),
        None => found.verdict(),
    }
}

/// Reads all refs; one that is damaged does not hide the others.
async fn find(namespace: &Namespace) -> Result<Found, Failure> {
    let RefNames { names, strays } = namespace.ref_names().await?;
    let read: Vec<(RefName, floe_core::Result<Option<ListedRef>>)> = stream::iter(names)
        .map(|name| async move { (name.clone(), read(namespace, name).await) })
        .buffered(READS_AT_ONCE)
        .collect()
        .await;
    let mut found = Found::default();
    for (name, read) in read {
        match read {
            Ok(listed) => found.refs.extend(listed),
            Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::NotFound) => {
                found.remedies.insert(error.remedy());
                found.damages.push((name.to_string(), error.to_string()));
            }
            Err(error) if error.kind() == ErrorKind::Unsupported => {
                found.unsupported.push((name.to_string(), error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    found.unread = found.damages.len() as u64;
    if !strays.is_empty() {
        found.remedies.insert(Some(Remedy::Remove));
    }
    found.damages.extend(strays.into_iter().map(|key| (key, RefNames::STRAY.to_owned())));
    Ok(found)
}

impl Found {
    /// How a command ends that found this.
    fn verdict(&self) -> Result<Code, Failure> {
        if self.damages.is_empty() && !self.unsupported.is_empty() {
            let message = count(self.unsupported.len() as u64, "ref is too new", "refs are too new");
            return Err(Failure::unsupported(message));
        }
        if self.damages.is_empty() {
            return Ok(Code::Done);
        }
        let strays = self.damages.len() as u64 - self.unread;
        let message = match self.unread {
            0 => count(strays, "object is where only refs may be", "objects are where only refs may be"),
            unread => count(unread, "ref cannot be read", "refs cannot be read"),
        };
        let again = "Run `floe verify` to see what is damaged; push again from the source with --full, or restore the \
                     objects from a copy of the store.";
        Err(Failure::new(Code::Corrupt, message, advice::on_damages(&self.remedies, again)))
    }
}

/// Names, and what is wrong with what has them.
type Noted = Vec<(String, String)>;

fn reports(noted: &Noted) -> Vec<DamageReport<'_>> {
    noted.iter().map(|(name, error)| DamageReport { name, error }).collect()
}

/// Reads one ref and the snapshot that it names; `None` for one that is gone.
async fn read(namespace: &Namespace, name: RefName) -> floe_core::Result<Option<ListedRef>> {
    let Some((record, _)) = namespace.read_ref(&name).await? else { return Ok(None) };
    let names = match record.current.at() {
        Some(at) => {
            let snapshot = Snapshot::open(namespace, at).await?;
            let Root { entries, files, file_bytes, .. } = *snapshot.root();
            Named::Snapshot(SizeReport { entry_count: entries, file_count: files, file_bytes })
        }
        // A collector fenced it before its first generation.
        None if record.current.generation == 0 => return Ok(None),
        None => {
            let last = record.history.iter().find(|former| former.at().is_some());
            Named::Nothing(last.map(|last| last.generation))
        }
    };
    Ok(Some(ListedRef { name, generation: record.current, names }))
}

impl ListedRef {
    fn report(&self) -> RefReport<'_> {
        RefReport {
            name: self.name.as_str(),
            generation: GenerationReport::new(&self.generation),
            size: match self.names {
                Named::Snapshot(size) => Some(size),
                Named::Nothing(_) => None,
            },
        }
    }
}

fn show(session: &Session, found: &Found, long: bool) -> Result<(), Failure> {
    let Found { refs, damages, unsupported, .. } = found;
    if refs.is_empty() && damages.is_empty() && unsupported.is_empty() {
        session.output().note("No ref names anything here; `floe push PATH REF` makes one.");
    }
    let now = session.now();
    let width = refs.iter().map(|listed| listed.name.as_str().len()).max().unwrap_or(0);
    session.output().data(|out| {
        for listed in refs {
            let name = format!("{}@{}", listed.name, listed.generation.generation);
            let (width, age) = (width + 6, age(listed.generation.time, now));
            write!(out, "{name:width$}  ")?;
            match listed.names {
                Named::Snapshot(SizeReport { file_count, file_bytes, .. }) => {
                    let (files, bytes) = (thousands(file_count), ByteCount(file_bytes));
                    let unit = if file_count == 1 { "file" } else { "files" };
                    write!(out, "{files:>9} {unit:5}  {bytes:>10}  ")?;
                    match listed.generation.at().filter(|_| long) {
                        Some(at) => writeln!(out, "{age:14}  {}", short_id(&at.snapshot))?,
                        None => writeln!(out, "{age}")?,
                    }
                }
                Named::Nothing(last) => {
                    let name = &listed.name;
                    let back = last.map(|last| format!("; `floe tag {name}@{last} {name}` brings it back"));
                    writeln!(out, "removed {age}{}", back.unwrap_or_default())?;
                }
            }
            if let Some(text) = listed.generation.message.as_ref().filter(|_| long) {
                writeln!(out, "    {}", printable(text))?;
            }
        }
        Ok(())
    })?;
    for (what, noted) in [("damaged", damages), ("too new", unsupported)] {
        for (name, message) in noted {
            session.output().note(&format!("{what}: {}: {}", printable(name), printable(message)));
        }
    }
    Ok(())
}
