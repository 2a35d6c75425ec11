//! The canonical tar: headers, and how long they and the content are.

use super::entry::{Body, EntryRef};

/// Length of a tar block: headers and padded contents are multiples of it.
pub const TAR_BLOCK_BYTES: usize = 512;

/// What stands after the last entry.
pub const TAR_END: [u8; 1024] = [0; 1024];

/// The largest size that a ustar header holds.
const MAX_USTAR_SIZE: u64 = 0o77_777_777_777;

const NAME: usize = 0;
const NAME_LEN: usize = 100;
const MODE: usize = 100;
const SIZE: usize = 124;
const CHECKSUM: usize = 148;
const TYPE: usize = 156;
const LINK: usize = 157;
const MAJOR: usize = 329;
const MINOR: usize = 337;

/// A header without name, mode, size, type and link.
const TEMPLATE: [u8; TAR_BLOCK_BYTES] = {
    let mut header = [0; TAR_BLOCK_BYTES];
    let mut field = 0;
    let fields: [(usize, &[u8]); 8] = [
        (MODE, b"0000000"),
        (108, b"0000000"),
        (116, b"0000000"),
        (SIZE, b"00000000000"),
        (136, b"02263523000"),
        (257, b"ustar\x0000"),
        (MAJOR, b"0000000"),
        (MINOR, b"0000000"),
    ];
    while field < fields.len() {
        let (at, bytes) = fields[field];
        let mut i = 0;
        while i < bytes.len() {
            header[at + i] = bytes[i];
            i += 1;
        }
        field += 1;
    }
    header
};

/// The sum of the template's bytes with the checksum's own as spaces.
const TEMPLATE_SUM: u32 = {
    let mut sum = 8 * b' ' as u32;
    let mut i = 0;
    while i < TEMPLATE.len() {
        sum += TEMPLATE[i] as u32;
        i += 1;
    }
    sum
};

/// Number of zeros that follow a content of `size` bytes.
#[inline]
pub fn tar_padding(size: u64) -> usize {
    (size.wrapping_neg() & 511) as usize
}

/// Length of an entry's headers: the ustar header, and a PAX header where one is needed.
#[inline]
pub fn tar_header_len(entry: &EntryRef<'_>) -> usize {
    match Records::of(entry).len() {
        0 => TAR_BLOCK_BYTES,
        records => 2 * TAR_BLOCK_BYTES + records.next_multiple_of(TAR_BLOCK_BYTES),
    }
}

/// Length of an entry's headers and its padded content.
#[inline]
pub fn tar_len(entry: &EntryRef<'_>) -> u64 {
    let size = entry.body.size();
    tar_header_len(entry) as u64 + size + tar_padding(size) as u64
}

/// Appends an entry's headers, as `docs/format.md` §5.2 says. The entry is valid, but for a hash that may be missing.
pub fn tar_header(entry: &EntryRef<'_>, out: &mut Vec<u8>) {
    let records = Records::of(entry);
    let length = records.len();
    if length > 0 {
        let mut header = Header::new(b'x', 0o644);
        header.put(NAME, b"././@PaxHeader");
        header.put_octal::<11>(SIZE, length as u64);
        header.finish(out);
        records.write(out);
        out.resize(out.len() + tar_padding(length as u64), 0);
    }
    let kind = match entry.body {
        Body::File { .. } => b'0',
        Body::HardLink { .. } => b'1',
        Body::Symlink { .. } => b'2',
        Body::CharDevice { .. } => b'3',
        Body::BlockDevice { .. } => b'4',
        Body::Directory => b'5',
        Body::Fifo => b'6',
    };
    let mut header = Header::new(kind, entry.mode);
    header.put(NAME, &entry.path[..entry.path.len().min(NAME_LEN)]);
    if kind == b'5' && entry.path.len() < NAME_LEN {
        header.put(NAME + entry.path.len(), b"/");
    }
    let target = entry.body.target();
    header.put(LINK, &target[..target.len().min(NAME_LEN)]);
    if let Body::CharDevice { major, minor } | Body::BlockDevice { major, minor } = entry.body {
        header.put_octal::<7>(MAJOR, u64::from(major));
        header.put_octal::<7>(MINOR, u64::from(minor));
    }
    if records.size.is_none() {
        header.put_octal::<11>(SIZE, entry.body.size());
    }
    header.finish(out);
}

/// A header that is being filled in, and the sum of its bytes.
struct Header {
    bytes: [u8; TAR_BLOCK_BYTES],
    sum: u32,
}

impl Header {
    fn new(kind: u8, mode: u16) -> Self {
        let mut header = Self { bytes: TEMPLATE, sum: TEMPLATE_SUM };
        header.put(TYPE, &[kind]);
        header.put_octal::<7>(MODE, u64::from(mode));
        header
    }

    /// Fills zeros with bytes.
    #[inline]
    fn put(&mut self, at: usize, bytes: &[u8]) {
        self.bytes[at..at + bytes.len()].copy_from_slice(bytes);
        self.sum += bytes.iter().map(|&b| u32::from(b)).sum::<u32>();
    }

    /// Fills a field of `DIGITS` octal zeros.
    #[inline]
    fn put_octal<const DIGITS: usize>(&mut self, at: usize, mut value: u64) {
        for digit in self.bytes[at..at + DIGITS].iter_mut().rev() {
            let octal = (value & 7) as u8;
            *digit = b'0' + octal;
            self.sum += u32::from(octal);
            value >>= 3;
        }
        debug_assert_eq!(value, 0, "a number that its field does not hold");
    }

    fn finish(mut self, out: &mut Vec<u8>) {
        let mut sum = self.sum;
        for digit in self.bytes[CHECKSUM..CHECKSUM + 6].iter_mut().rev() {
            *digit = b'0' + (sum & 7) as u8;
            sum >>= 3;
        }
        self.bytes[CHECKSUM + 7] = b' ';
        out.extend_from_slice(&self.bytes);
    }
}

/// The records of an entry's PAX header.
struct Records<'a> {
    /// With whether a `/` follows it.
    path: Option<(&'a [u8], bool)>,
    link: Option<&'a [u8]>,
    size: Option<u64>,
}

impl<'a> Records<'a> {
    #[inline]
    fn of(entry: &EntryRef<'a>) -> Self {
        let is_directory = matches!(entry.body, Body::Directory);
        let name_len = entry.path.len() + usize::from(is_directory);
        Self {
            path: (name_len > NAME_LEN).then_some((entry.path, is_directory)),
            link: Some(entry.body.target()).filter(|target| target.len() > NAME_LEN),
            size: Some(entry.body.size()).filter(|&size| size > MAX_USTAR_SIZE),
        }
    }

    #[inline]
    fn len(&self) -> usize {
        let path = self.path.map_or(0, |(path, slash)| record_len("path", path.len() + usize::from(slash)));
        let link = self.link.map_or(0, |link| record_len("linkpath", link.len()));
        let size = self.size.map_or(0, |size| record_len("size", digits(size)));
        path + link + size
    }

    fn write(&self, out: &mut Vec<u8>) {
        if let Some((path, slash)) = self.path {
            let slash = if slash { &b"/"[..] } else { b"" };
            write_record("path", &[path, slash], out);
        }
        if let Some(link) = self.link {
            write_record("linkpath", &[link], out);
        }
        if let Some(size) = self.size {
            write_record("size", &[size.to_string().as_bytes()], out);
        }
    }
}

fn write_record(key: &str, value: &[&[u8]], out: &mut Vec<u8>) {
    let length = record_len(key, value.iter().map(|part| part.len()).sum());
    out.extend_from_slice(length.to_string().as_bytes());
    out.push(b' ');
    out.extend_from_slice(key.as_bytes());
    out.push(b'=');
    for part in value {
        out.extend_from_slice(part);
    }
    out.push(b'\n');
}

/// Length of a record `LENGTH KEY=VALUE\n`, its own digits included.
fn record_len(key: &str, value_len: usize) -> usize {
    let rest = key.len() + value_len + 3;
    let mut length = rest + digits(rest as u64);
    // The digits of the length may make it one digit longer, but only once.
    if rest + digits(length as u64) > length {
        length += 1;
    }
    length
}

/// Number of decimal digits.
fn digits(number: u64) -> usize {
    number.checked_ilog10().unwrap_or(0) as usize + 1
}

#[cfg(test)]
mod tests;
