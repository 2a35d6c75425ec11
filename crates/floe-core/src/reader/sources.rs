//! Where the frames of a snapshot are, as far as they are wanted.

use std::ops::Range;
use std::path::Path;
use std::pin::pin;

use futures::{StreamExt, TryStreamExt, stream};

use crate::catalog::{Catalog, PackShape};
use crate::namespace::Namespace;
use crate::pack_tails::{LoadedDirectory, LoadedTail, PackTails};
use crate::snapshot::Snapshot;
use crate::{Error, ErrorKind, Result};

use super::metadata::Metadata;

/// A pack whose tail is longer than this may hold metadata alone, which its directory tells.
const LONG_TAIL_BYTES: u64 = 24 << 20;
/// How many packs are asked at once.
const REQUESTS: usize = 8;

/// What of a snapshot will be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Segments only.
    Metadata,
    /// Segments and data frames.
    Data,
}

/// The places of the frames of a snapshot.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) metadata: Metadata,
    pub(crate) data: Catalog,
}

enum Loaded {
    Tail(LoadedTail),
    Directory(LoadedDirectory),
}

impl Sources {
    /// Reads the directories, or for data the tails, of the packs that serve these root items.
    ///
    /// # Errors
    /// `Corrupt` where a pack is gone.
    pub(crate) async fn open(
        namespace: &Namespace,
        snapshot: &Snapshot,
        cache: Option<&Path>,
        items: &[Range<u32>],
        reach: Reach,
    ) -> Result<Self> {
        let tails = PackTails::new(namespace, cache);
        let wanted = snapshot.layout().packs.iter().filter(|pack| {
            let serves = items.iter().cloned().flatten().any(|item| pack.serves(item));
            serves && (pack.has_metadata || reach == Reach::Data)
        });
        // Owned: of a stream of references the compiler cannot tell that its future is `Send`.
        let wanted: Vec<_> = wanted.map(|pack| (PackShape::from(pack), pack.has_metadata)).collect();
        let loaded = stream::iter(wanted)
            .map(|(shape, has_metadata)| {
                let (tails, reach) = (&tails, &reach);
                async move {
                    let load = async {
                        if *reach == Reach::Data && !(has_metadata && shape.tail_len > LONG_TAIL_BYTES) {
                            return Ok((Loaded::Tail(tails.load(shape).await?), None));
                        }
                        let directory = tails.load_directory(shape).await?;
                        let data = directory.directory.footer().data_range();
                        let tail = match reach {
                            Reach::Data if data.start < data.end => Some(tails.load(shape).await?),
                            _ => None,
                        };
                        Ok((Loaded::Directory(directory), tail))
                    };
                    let (loaded, tail) = load.await.map_err(|e: Error| match e.kind() {
                        ErrorKind::Corrupt => {
                            e.in_object(format_args!("`{}`", namespace.keys().pack(&shape.id)))
                        }
                        _ => e,
                    })?;
                    Ok::<_, Error>((has_metadata, loaded, tail))
                }
            })
            .buffered(REQUESTS);
        let mut loaded = pin!(loaded);
        let mut sources = Self { metadata: Metadata::new(&tails), data: Catalog::new(tails.scratch()) };
        while let Some((has_metadata, loaded, tail)) = loaded.try_next().await? {
            match &loaded {
                Loaded::Tail(tail) if has_metadata => {
                    sources.metadata.add(tail.shape, &tail.end, tail.tail.directory())?;
                }
                Loaded::Tail(_) => {}
                Loaded::Directory(loaded) => {
                    sources.metadata.add(loaded.shape, &loaded.end, &loaded.directory)?;
                }
            }
            let tail = if let Loaded::Tail(tail) = loaded { Some(tail) } else { tail };
            if let Some(tail) = tail {
                sources.data.add_pack(tail.shape, tail.tail.data())?;
            }
        }
        tails.evict();
        Ok(sources)
    }
}
