//! Looking through what a destination has and the snapshot does not.

use std::collections::HashSet;
use std::os::fd::{AsFd, BorrowedFd};

use floe_format::parent_and_name;
use rustix::io::Errno;

use super::directories::DirId;
use super::entry::{FileStat, Kind};
use super::existing::Listing;
use super::open;
use super::problem::failed;
use super::worker::Worker;
use crate::Result;

/// Whether something below a directory is kept, by its path, which begins with the directory's name.
type IsKept<'a> = dyn FnMut(&[u8], bool) -> Result<bool> + 'a;

/// Is shown a path, which begins with the directory's name, and whether it is a directory; the answer is whether what is below
/// it is shown too.
type GoesOn<'a> = dyn FnMut(&[u8], bool) -> Result<bool> + 'a;

/// Paths, and whether each is a directory.
type Children = Vec<(Vec<u8>, bool)>;

impl Worker<'_> {
    /// What may be removed below a directory of this name where some of it is kept: each path stands for all below it. `None`
    /// where nothing is kept, or it is no directory. What may not be looked into is kept.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls, and what `is_kept` returns.
    pub(crate) fn removable_below(
        &mut self,
        directory: DirId,
        name: &[u8],
        is_kept: &mut IsKept<'_>,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        let at = self.directory(directory)?;
        let at = at.as_fd();
        // The directories that hold what is kept.
        let mut holding: HashSet<Vec<u8>> = HashSet::new();
        let mut waiting = vec![name.to_vec()];
        while let Some(path) = waiting.pop() {
            let Some(children) = self.children(directory, at, &path)? else {
                let shown = self.tree.shown(directory, &path);
                tracing::warn!(
                    "`{shown}` may not be looked into, and stays: what is left out may be below it"
                );
                hold(&mut holding, &path);
                holding.insert(path);
                continue;
            };
            for (child, is_directory) in children {
                if is_kept(&child, is_directory)? {
                    hold(&mut holding, &child);
                } else if is_directory {
                    waiting.push(child);
                }
            }
        }
        if holding.is_empty() {
            return Ok(None);
        }
        let mut removable = Vec::new();
        let mut waiting: Vec<_> = holding.contains(name).then(|| name.to_vec()).into_iter().collect();
        while let Some(path) = waiting.pop() {
            for (child, is_directory) in self.children(directory, at, &path)?.unwrap_or_default() {
                if is_directory && holding.contains(&child) {
                    waiting.push(child);
                } else if !is_kept(&child, is_directory)? {
                    removable.push(child);
                }
            }
        }
        Ok(Some(removable))
    }

    /// Shows what is below a directory of this name, as far as that is wanted; what may not be looked into is passed over.
    ///
    /// # Errors
    ///
    /// What the [module](crate::destination#errors) says of system calls, and what `goes_on` returns.
    pub(crate) fn look_below(
        &mut self,
        directory: DirId,
        name: &[u8],
        goes_on: &mut GoesOn<'_>,
    ) -> Result<()> {
        let at = self.directory(directory)?;
        let mut waiting = vec![name.to_vec()];
        while let Some(path) = waiting.pop() {
            let Some(children) = self.children(directory, at.as_fd(), &path)? else {
                let shown = self.tree.shown(directory, &path);
                tracing::warn!("`{shown}` may not be looked into, and all below it stays");
                continue;
            };
            for (child, is_directory) in children {
                if goes_on(&child, is_directory)? && is_directory {
                    waiting.push(child);
                }
            }
        }
        Ok(())
    }

    /// The paths of what is in a directory, and whether each is a directory: of one that is gone, is none or is a mount of
    /// its own, nothing. `None` where it may not be looked into.
    fn children(&self, directory: DirId, at: BorrowedFd<'_>, path: &[u8]) -> Result<Option<Children>> {
        let wrong = |errno| failed("look into", &self.tree.shown(directory, path), errno);
        let listed = open::beneath_same_mount(at, path).and_then(|within| {
            let listing = Listing::read(within.as_fd())?;
            Ok((within, listing))
        });
        let (within, listing) = match listed {
            Ok(listed) => listed,
            // It was no directory to begin with, or is another by now; or it is a mount, which whoever tries to remove it
            // is told.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV) => return Ok(Some(Vec::new())),
            Err(Errno::ACCESS | Errno::NAMETOOLONG) => return Ok(None),
            Err(errno) => return Err(wrong(errno)),
        };
        let mut children = Vec::new();
        for name in listing.iter() {
            if let Some(stat) = FileStat::of_name_if_any(within.as_fd(), name).map_err(wrong)? {
                children.push(([path, &b"/"[..], name].concat(), stat.kind == Kind::Directory));
            }
        }
        Ok(Some(children))
    }
}

/// Notes the directories that something is in.
fn hold(holding: &mut HashSet<Vec<u8>>, mut path: &[u8]) {
    loop {
        path = parent_and_name(path).0;
        if path.is_empty() || !holding.insert(path.to_vec()) {
            return;
        }
    }
}
