//! What of a destination stays though the snapshot does not have it, or has something else in its place.

use crate::destination::{DirId, Tree, Worker};
use crate::offload::Offloaded;
use crate::reader::shown;
use crate::{Error, ErrorKind, Remedy, Result};

use super::own::OwnBelow;
use super::selection::{Picked, Selection};

/// Tells what stays: what the globs leave out, and Floe's own directories.
#[derive(Clone, Copy)]
pub(super) struct LeftOut<'a> {
    pub(super) selection: &'a Selection,
    pub(super) own: &'a OwnBelow,
    pub(super) work: &'a Offloaded,
    pub(super) tree: &'a Tree,
    /// Whether names are found by other spellings, where that is known.
    pub(super) ignores_case: Option<bool>,
}

/// A name in the destination.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) directory: DirId,
    /// Or a path below that directory.
    pub(super) name: &'a [u8],
    /// What globs are matched against: its path below what is pulled.
    pub(super) path: &'a [u8],
    /// The same as the destination lists it, where it has it under another spelling.
    pub(super) listed: &'a [Vec<u8>],
}

impl LeftOut<'_> {
    /// Refuses to write something else in the place of a directory that is left out, or holds what is; `above` is said of
    /// the directory that it is in.
    ///
    /// # Errors
    /// `Invalid` where that is so.
    pub(super) fn refuse(self, worker: &mut Worker<'_>, place: Place<'_>, above: Picked) -> Result<()> {
        if !self.selection.leaves_out() {
            return Ok(());
        }
        let picked = self.pick(place, above, &mut || Ok(true))?;
        if !picked.is_left_out() && self.removable_below(worker, place, picked)?.is_none() {
            return Ok(());
        }
        Err(refused(format!(
            "the snapshot has something else where the directory {} is, and that holds what is left out",
            shown(place.path)
        )))
    }

    /// Refuses to write over, or in, what is there under another spelling, where that is left out.
    ///
    /// # Errors
    /// `Invalid` where that is so.
    pub(super) fn refuse_respelled(
        self,
        worker: &mut Worker<'_>,
        place: Place<'_>,
        above: Picked,
    ) -> Result<()> {
        let mut is_directory = || worker.is_directory(place.directory, place.name);
        if !self.pick(place, above, &mut is_directory)?.is_left_out() {
            return Ok(());
        }
        Err(refused(format!(
            "the snapshot has {}, which is there under another spelling, and that is left out",
            shown(place.path)
        )))
    }

    /// What is said of what is there, which may be left out by any of its spellings.
    pub(super) fn pick(
        self,
        place: Place<'_>,
        above: Picked,
        is_directory: &mut dyn FnMut() -> Result<bool>,
    ) -> Result<Picked> {
        let mut pick = |path: &[u8], ignores_case| {
            self.selection.pick_extra(above, path, ignores_case, &mut *is_directory)
        };
        let ignores_case = self.ignores_case == Some(true);
        for listed in place.listed {
            let picked = pick(listed, ignores_case)?;
            if picked.is_left_out() {
                return Ok(picked);
            }
        }
        let picked = pick(place.path, ignores_case)?;
        if picked.is_left_out() || ignores_case || !self.selection.leaves_out() {
            return Ok(picked);
        }
        // A directory whose names are all digits does not show it, nor what those in it do; they may also do otherwise.
        let folded = pick(place.path, true)?;
        let there = place.listed.first().map_or(place.path, Vec::as_slice);
        Ok(if folded.is_left_out() && self.tree.ignores_case_towards(there) { folded } else { picked })
    }

    /// Whether one of Floe's own directories is at a place, or in it.
    pub(super) fn holds_own(self, place: Place<'_>) -> bool {
        self.own.stands_at(place.path) || place.listed.iter().any(|listed| self.own.stands_at(listed))
    }

    /// The same of a path below a directory that is there; none for what holds one of Floe's own.
    pub(super) fn pick_below(
        self,
        place: Place<'_>,
        above: Picked,
        below: &[u8],
        is_directory: bool,
    ) -> Result<Option<Picked>> {
        let below = &below[place.name.len()..];
        let path = |top: &[u8]| [top, below].concat();
        let listed: Vec<_> = place.listed.iter().map(|listed| path(listed)).collect();
        let place = Place { path: &path(place.path), listed: &listed, ..place };
        if self.holds_own(place) {
            return Ok(None);
        }
        self.pick(place, above, &mut || Ok(is_directory)).map(Some)
    }

    /// What may be removed below a directory of which something stays: what is left out, and the directories that it is in.
    pub(super) fn removable_below(
        self,
        worker: &mut Worker<'_>,
        place: Place<'_>,
        picked: Picked,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        if !self.selection.leaves_out() {
            return Ok(None);
        }
        worker.removable_below(place.directory, place.name, &mut |below, is_directory| {
            self.work.check()?;
            Ok(self.pick_below(place, picked, below, is_directory)?.is_none_or(Picked::is_left_out))
        })
    }
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Invalid, message).with_remedy(Remedy::LeaveOut)
}

#[cfg(test)]
mod tests {
    use tokio::runtime::Handle;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::destination::{InPlace, Settings};

    /// As a directory lists what it finds by another spelling.
    #[tokio::test]
    async fn what_is_there_is_left_out_by_the_name_that_is_listed() {
        let destination = tempfile::tempdir().unwrap();
        std::fs::create_dir(destination.path().join("sub")).unwrap();
        let stop = CancellationToken::new();
        let work = Offloaded { runtime: Handle::current(), cancel: stop.clone() };
        let settings = Settings {
            special_bits: false,
            devices: false,
            delete: true,
            stat_written: false,
            looks_only: false,
            own: Vec::new(),
            token: 7,
            stop,
        };
        let place = InPlace::open(destination.path(), settings).unwrap();
        let mut worker = place.tree().worker();
        let selection = Selection::new(&[], &["SUB/".to_owned()]).unwrap();
        let own = OwnBelow::default();
        let left_out = LeftOut {
            selection: &selection,
            own: &own,
            work: &work,
            tree: place.tree(),
            ignores_case: Some(false),
        };
        let sub = Place { directory: DirId::ROOT, name: b"sub", path: b"sub", listed: &[] };
        let listed = ["other", "SUB"].map(|name| name.as_bytes().to_vec());
        for (listed, is_refused) in [(&listed[..1], false), (&listed[..], true)] {
            let place = Place { listed, ..sub };
            let refused = left_out.refuse_respelled(&mut worker, place, selection.top());
            assert_eq!(refused.is_err(), is_refused);
            assert_eq!(left_out.refuse(&mut worker, place, selection.top()).is_err(), is_refused);
        }
    }
}
