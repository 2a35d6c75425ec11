//! §5.2.

use floe_format::{Body, Entry};

fn octal(width: usize, value: u64) -> Vec<u8> {
    format!("{value:0width$o}\0").into_bytes()
}

fn ustar(name: &[u8], mode: u16, size: u64, kind: u8, link: &[u8], device: (u32, u32)) -> Vec<u8> {
    let mut h = name.to_vec();
    h.resize(100, 0);
    h.extend(octal(7, mode.into()));
    h.extend(b"0000000\x000000000\0");
    h.extend(octal(11, size));
    h.extend(b"02263523000\0");
    h.extend(b"        ");
    h.push(kind);
    h.extend(&link[..link.len().min(100)]);
    h.resize(257, 0);
    h.extend(b"ustar\x0000");
    h.resize(329, 0);
    h.extend(octal(7, device.0.into()));
    h.extend(octal(7, device.1.into()));
    h.resize(512, 0);
    let sum: u64 = h.iter().map(|&b| u64::from(b)).sum();
    h.splice(148..155, octal(6, sum));
    h
}

fn pad(bytes: &mut Vec<u8>) {
    while !bytes.len().is_multiple_of(512) {
        bytes.push(0);
    }
}

/// A record whose length is found by trying.
fn record(key: &str, value: &[u8]) -> Vec<u8> {
    (1..)
        .map(|length| [format!("{length} {key}=").as_bytes(), value, b"\n"].concat())
        .zip(1..)
        .find(|(record, length)| record.len() == *length)
        .unwrap()
        .0
}

pub(crate) fn headers(entry: &Entry) -> Vec<u8> {
    let (kind, size, link, device): (u8, u64, &[u8], (u32, u32)) = match entry.body.as_body() {
        Body::Directory => (b'5', 0, b"", (0, 0)),
        Body::File { size, .. } => (b'0', size, b"", (0, 0)),
        Body::Symlink { target } => (b'2', 0, target, (0, 0)),
        Body::HardLink { target } => (b'1', 0, target, (0, 0)),
        Body::Fifo => (b'6', 0, b"", (0, 0)),
        Body::CharDevice { major, minor } => (b'3', 0, b"", (major, minor)),
        Body::BlockDevice { major, minor } => (b'4', 0, b"", (major, minor)),
    };
    let mut name = entry.path.clone();
    if kind == b'5' {
        name.push(b'/');
    }
    let mut records = Vec::new();
    let mut ustar_size = size;
    if name.len() > 100 {
        records.extend(record("path", &name));
        name.truncate(100);
    }
    if link.len() > 100 {
        records.extend(record("linkpath", link));
    }
    if size > 8_589_934_591 {
        records.extend(record("size", size.to_string().as_bytes()));
        ustar_size = 0;
    }
    let mut headers = Vec::new();
    if !records.is_empty() {
        headers = ustar(b"././@PaxHeader", 0o644, records.len() as u64, b'x', b"", (0, 0));
        pad(&mut records);
        headers.extend(records);
    }
    headers.extend(ustar(&name, entry.mode, ustar_size, kind, link, device));
    headers
}

pub(crate) fn padded(content: &[u8]) -> Vec<u8> {
    let mut padded = content.to_vec();
    pad(&mut padded);
    padded
}
