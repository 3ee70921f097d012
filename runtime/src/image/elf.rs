//! What a program needs in order to start: its loader and its libraries, read from its own headers (elf(5)).
//!
//! `ldd` would run the program's loader to find out. We only read: the program header table names the interpreter
//! (`PT_INTERP`) and the dynamic section (`PT_DYNAMIC`), which names the libraries (`DT_NEEDED`) and where to look for them
//! (`DT_RUNPATH`, `DT_RPATH`) as offsets into a table of strings. The file comes from the host, yet nothing in it is
//! believed: every offset is checked against the file's length.

/// The largest file that we look into. Larger programs exist; none of them is on the list of borrowed commands.
pub const FILE_MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What a program or library asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// The loader, an absolute path; libraries and static programs have none.
    pub interpreter: Option<String>,
    /// Names of libraries, such as `libc.so.6`, in the file's order.
    pub libraries: Vec<String>,
    /// Folders to look in first; may hold `$ORIGIN`.
    pub search: Vec<String>,
}

/// Reads the headers; `None` when the bytes are no 64-bit little-endian ELF file, or a damaged one.
pub fn needs(file: &[u8]) -> Option<Needs> {
    const CLASS_64_LITTLE_ENDIAN: [u8; 6] = [0x7f, b'E', b'L', b'F', 2, 1];
    if !file.starts_with(&CLASS_64_LITTLE_ENDIAN) {
        return None;
    }
    let segments = segments(file)?;
    let interpreter = match segments.iter().find(|segment| segment.kind == PT_INTERP) {
        Some(segment) => Some(text_at(file, segment.offset)?),
        None => None,
    };
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == PT_DYNAMIC) else {
        return Some(Needs { interpreter, ..Needs::default() });
    };
    let entries = dynamic_entries(file, dynamic)?;
    let strings = address_to_offset(&segments, entries.iter().find(|(tag, _)| *tag == DT_STRTAB)?.1)?;
    let texts = |wanted: u64| -> Option<Vec<String>> {
        let offsets = entries.iter().filter(|(tag, _)| *tag == wanted).map(|(_, value)| *value);
        offsets.map(|offset| text_at(file, strings.checked_add(offset)?)).collect()
    };
    // A RUNPATH makes the loader ignore an RPATH in the same file.
    let run_path = texts(DT_RUNPATH)?;
    let paths = if run_path.is_empty() { texts(DT_RPATH)? } else { run_path };
    let search =
        paths.iter().flat_map(|path| path.split(':')).filter(|dir| !dir.is_empty()).map(String::from).collect();
    Some(Needs { interpreter, libraries: texts(DT_NEEDED)?, search })
}

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const DT_RUNPATH: u64 = 29;

/// A line of the program header table: these bytes of the file belong at that address.
struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    file_size: u64,
}

fn segments(file: &[u8]) -> Option<Vec<Segment>> {
    let table = u64_at(file, 32)?;
    let entry_size = u64::from(u16_at(file, 54)?);
    let count = u64::from(u16_at(file, 56)?);
    (0..count)
        .map(|index| {
            let at = table.checked_add(index.checked_mul(entry_size)?)?;
            Some(Segment {
                kind: u32_at(file, at)?,
                offset: u64_at(file, at.checked_add(8)?)?,
                address: u64_at(file, at.checked_add(16)?)?,
                file_size: u64_at(file, at.checked_add(32)?)?,
            })
        })
        .collect()
}

/// Pairs of tag and value up to the closing `DT_NULL`.
fn dynamic_entries(file: &[u8], dynamic: &Segment) -> Option<Vec<(u64, u64)>> {
    const PAIR_BYTES: u64 = 16;
    let mut entries = Vec::new();
    for index in 0..dynamic.file_size / PAIR_BYTES {
        let at = dynamic.offset.checked_add(index * PAIR_BYTES)?;
        let tag = u64_at(file, at)?;
        if tag == DT_NULL {
            break;
        }
        entries.push((tag, u64_at(file, at + 8)?));
    }
    Some(entries)
}

/// The dynamic section speaks of addresses in memory; the loaded segments say where in the file these are.
fn address_to_offset(segments: &[Segment], address: u64) -> Option<u64> {
    let holds = |segment: &&Segment| {
        segment.kind == PT_LOAD && address >= segment.address && address - segment.address < segment.file_size
    };
    let segment = segments.iter().find(holds)?;
    segment.offset.checked_add(address - segment.address)
}

fn text_at(file: &[u8], offset: u64) -> Option<String> {
    let rest = file.get(usize::try_from(offset).ok()?..)?;
    let end = rest.iter().position(|byte| *byte == 0)?;
    String::from_utf8(rest[..end].to_vec()).ok()
}

fn array_at<const N: usize>(file: &[u8], offset: u64) -> Option<[u8; N]> {
    let start = usize::try_from(offset).ok()?;
    file.get(start..start.checked_add(N)?)?.try_into().ok()
}

fn u16_at(file: &[u8], offset: u64) -> Option<u16> {
    array_at(file, offset).map(u16::from_le_bytes)
}

fn u32_at(file: &[u8], offset: u64) -> Option<u32> {
    array_at(file, offset).map(u32::from_le_bytes)
}

fn u64_at(file: &[u8], offset: u64) -> Option<u64> {
    array_at(file, offset).map(u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_names_its_loader_and_the_c_library() {
        let Ok(file) = std::fs::read("/bin/bash") else {
            return eprintln!("skipped: needs /bin/bash on the host");
        };
        let needs = needs(&file).unwrap();
        assert!(needs.interpreter.unwrap().contains("ld-linux"));
        assert!(needs.libraries.iter().any(|name| name == "libc.so.6"), "{:?}", needs.libraries);
    }

    #[test]
    fn a_script_and_a_truncated_program_are_no_programs() {
        assert_eq!(needs(b"#!/bin/sh\n"), None);
        let Ok(file) = std::fs::read("/bin/bash") else {
            return eprintln!("skipped: needs /bin/bash on the host");
        };
        for length in [6, 40, 64, 200, 500] {
            assert_eq!(needs(&file[..length]), None, "cut at {length}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let magic = [0x7f, b'E', b'L', b'F', 2, 1];
            let length = magic.len().min(bytes.len());
            bytes[..length].copy_from_slice(&magic[..length]);
            needs(&bytes);
        }
    }
}
