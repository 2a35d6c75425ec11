//! Setuid and setgid: whose rights they lend.

use super::directories::DirId;
use super::entry::{ALL_MODE_BITS, Meta, Owner, SPECIAL_BITS};
use super::worker::Worker;

impl Worker<'_> {
    /// The bits that the mode of something may have that belongs to this owner. Where it is not whom the snapshot says,
    /// setuid and setgid are left out and that is noted: they would lend everybody the rights of somebody else.
    pub(super) fn bits_for(&self, directory: DirId, name: &[u8], meta: &Meta<'_>, owner: Owner) -> u32 {
        if self.complain_of_bits(directory, name, meta, owner) { !SPECIAL_BITS } else { ALL_MODE_BITS }
    }

    /// Notes where they are left out, and says whether they are.
    pub(super) fn complain_of_bits(
        &self,
        directory: DirId,
        name: &[u8],
        meta: &Meta<'_>,
        owner: Owner,
    ) -> bool {
        let settings = &self.tree.settings;
        let is_left_out = settings.mode_for(meta, owner) != settings.restored_mode(meta.mode);
        if is_left_out {
            let why = "it has another owner than in the snapshot, and owners are not restored";
            self.tree.complain_because(directory, name, "setuid and setgid", why);
        }
        is_left_out
    }
}
