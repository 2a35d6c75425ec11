//! Whose a file is that takes the place of another, and who may do what with it: nobody more than before.

use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::{XattrFlags, fremovexattr, fsetxattr, lgetxattr};
use rustix::io::Errno;

const ACL: &str = "system.posix_acl_access";
/// The longest extended attribute that there is.
const XATTR_BYTES: usize = 64 << 10;

/// Who may do what with a file.
pub(super) struct Rights {
    stat: Metadata,
    acl: Option<Vec<u8>>,
}

impl Rights {
    /// Those of the file of this name, which is no symlink, and of which the kernel says this.
    pub(super) fn of(path: &Path, stat: Metadata) -> io::Result<Self> {
        let mut acl = vec![0; XATTR_BYTES];
        let acl = match lgetxattr(path, ACL, &mut acl[..]) {
            Ok(length) => {
                acl.truncate(length);
                Some(acl)
            }
            Err(Errno::NODATA | Errno::OPNOTSUPP) => None,
            Err(errno) => return Err(errno.into()),
        };
        Ok(Self { stat, acl })
    }

    /// Gives them to a file that only its owner may read so far. Where it cannot be given to whom the other belonged, the
    /// group and all others get what both of them had; where it cannot have the ACL, nothing.
    pub(super) fn give(&self, file: &File) -> io::Result<()> {
        let Self { stat, acl } = self;
        // The mode after that, which takes bits of it away.
        let _ = fchown(file, Some(stat.uid()), Some(stat.gid()));
        let has_group = file.metadata()?.gid() == stat.gid();
        let mode = stat.mode() & 0o777;
        let mode = match acl {
            Some(acl) if !has_group || fsetxattr(file, ACL, acl, XattrFlags::empty()).is_err() => {
                mode & 0o700
            }
            // It may have got one from its directory, by which the group's bits are what somebody else may do.
            None if drop_acl(file).is_err() => mode & 0o700,
            None if !has_group => {
                let of_both = mode >> 3 & mode & 0o7;
                mode & 0o700 | of_both << 3 | of_both
            }
            _ => mode,
        };
        file.set_permissions(Permissions::from_mode(mode))
    }
}

/// Removes a file's ACL, if it has one.
fn drop_acl(file: &File) -> io::Result<()> {
    match fremovexattr(file, ACL) {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}
