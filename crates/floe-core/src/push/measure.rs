//! How much there is to push, found out before it is read.

use std::path::Path;

use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::offload::offload;
use crate::source::{Exclusions, FileKind, Walk, WalkOptions};

/// The sizes of the files of a directory added up, without what is left out: for people who wait for a push.
///
/// What cannot be read counts nothing, nor is it an error.
///
/// # Errors
/// The directory cannot be opened, a glob is malformed, or this was asked to stop.
///
/// # Cancel safety
/// Dropped, it stops soon after.
pub async fn directory_bytes(
    root: &Path,
    exclusions: &Exclusions,
    cancel: &CancellationToken,
) -> Result<u64> {
    let (root, exclusions) = (root.to_owned(), exclusions.clone());
    offload("measure", cancel, move |work| {
        let options =
            WalkOptions { threads: std::num::NonZeroUsize::MIN, exclusions, ..WalkOptions::default() };
        let mut bytes = 0;
        for listing in Walk::new(&root, &options)? {
            work.check()?;
            let listing = listing?;
            let files = listing.children().filter(|child| child.stat.kind == FileKind::File);
            bytes += files.map(|file| file.stat.size).sum::<u64>();
        }
        Ok(bytes)
    })
    .await
}
