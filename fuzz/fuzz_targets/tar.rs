//! Tar headers of any valid entry: of the length they are said to have, with a right checksum and records that read back.
#![no_main]

use arbitrary::Arbitrary;
use floe_format::{Body, ContentHash, EntryRef, Kept, Xattrs, tar_header, tar_header_len, tar_len};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    kind: u8,
    mode: u16,
    path: &'a [u8],
    repeat: u8,
    target: &'a [u8],
    size: u64,
    device: (u32, u32),
}

fuzz_target!(|input: Input<'_>| {
    let path = input.path.repeat(usize::from(input.repeat).max(1));
    let size = input.size >> (input.mode & 63);
    let (major, minor) = input.device;
    let body = match input.kind % 7 {
        0 => Body::Directory,
        1 => Body::File { size, hash: (size > 0).then(|| ContentHash::of(b"")) },
        2 => Body::Symlink { target: input.target },
        3 => Body::HardLink { target: input.target },
        4 => Body::Fifo,
        5 => Body::CharDevice { major, minor },
        _ => Body::BlockDevice { major, minor },
    };
    let mode = if input.kind % 7 == 2 { 0o777 } else { input.mode & 0o7777 };
    let entry = EntryRef { path: &path, mode, mtime: None, owner: None, body, xattrs: Xattrs::default() };
    if entry.validate(Kept::NONE).is_err() {
        return;
    }
    let mut header = Vec::new();
    tar_header(&entry, &mut header);
    assert_eq!(header.len(), tar_header_len(&entry));
    let padded = body.size().next_multiple_of(512);
    assert_eq!(tar_len(&entry), header.len() as u64 + padded);

    let text = |field: &[u8]| String::from_utf8(field.to_vec()).unwrap();
    let octal = |field: &[u8]| u64::from_str_radix(&text(field), 8).unwrap();
    let checked = |block: &[u8]| {
        let mut block = block.to_vec();
        let stated = octal(&block[148..154]);
        block[148..156].fill(b' ');
        assert_eq!(block.iter().map(|&byte| u64::from(byte)).sum::<u64>(), stated);
    };
    let until_nul = |field: &[u8]| field.split(|&byte| byte == 0).next().unwrap().to_vec();
    let (records, last) = header.split_at(header.len() - 512);
    checked(last);
    let mut name = until_nul(&last[..100]);
    let mut link = until_nul(&last[157..257]);
    let mut stated_size = octal(&last[124..135]);
    if !records.is_empty() {
        checked(&records[..512]);
        let mut rest = &records[512..512 + octal(&records[124..135]) as usize];
        while !rest.is_empty() {
            let space = rest.iter().position(|&byte| byte == b' ').unwrap();
            let (record, after) = rest.split_at(text(&rest[..space]).parse().unwrap());
            let record = record[space + 1..].strip_suffix(b"\n").unwrap();
            let equals = record.iter().position(|&byte| byte == b'=').unwrap();
            let value = record[equals + 1..].to_vec();
            match &record[..equals] {
                b"path" => name = value,
                b"linkpath" => link = value,
                b"size" => stated_size = text(&value).parse().unwrap(),
                other => panic!("{other:?}"),
            }
            rest = after;
        }
    }
    assert_eq!(name, [&path[..], if input.kind % 7 == 0 { b"/" } else { b"" }].concat());
    assert_eq!(link, body.target());
    assert_eq!(stated_size, body.size());
});
