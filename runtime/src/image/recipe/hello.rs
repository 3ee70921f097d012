//! The program of `hello-world`: a whole static executable of a few hundred bytes, as data.
//!
//! It makes two system calls, write(2) and exit(2), and so needs no library, no loader and no compiler here. That makes it
//! the smallest thing that a container can run, and a good one to look into: a file header, one program header and a dozen
//! instructions (elf(5)).

/// What it writes. Docker's own hello-world has other words; these are ours.
pub const TEXT: &str = "
Hello from a container!

You see this because an image was found, a container was made of it, and the
one program that it holds was run in namespaces of its own. It wrote these
lines and ended, and with it the container.

The image is one file without a shell, a library or a package. Quayside made
it; it stands in for Docker's hello-world, and says this in its own words.

For a container that one can look around in, try:
  docker run -it busybox sh

";

/// Where the file is mapped. Anything that the kernel lets a program have will do.
const ADDRESS: u64 = 0x40_0000;
const HEADER_BYTES: u16 = 64;
const PROGRAM_HEADER_BYTES: u16 = 56;
/// The largest page of any machine that we know; file and address must agree below it.
const ALIGN: u64 = 0x1_0000;

/// The program for a machine, called as Rust calls it; `None` where we know no instructions for it.
pub fn program(architecture: &str) -> Option<Vec<u8>> {
    match architecture {
        "x86_64" => Some(executable(62, &x86_64())),
        "aarch64" => Some(executable(183, &aarch64())),
        _ => None,
    }
}

/// ELF for one machine: headers, instructions, text; all of it mapped as one piece, to read and to execute.
fn executable(machine: u16, code: &[u8]) -> Vec<u8> {
    let start = u64::from(HEADER_BYTES + PROGRAM_HEADER_BYTES);
    let length = start + (code.len() + TEXT.len()) as u64;
    let mut file = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    put(&2_u16.to_le_bytes()); // an executable
    put(&machine.to_le_bytes());
    put(&1_u32.to_le_bytes()); // version
    put(&(ADDRESS + start).to_le_bytes()); // where it begins
    put(&u64::from(HEADER_BYTES).to_le_bytes()); // where the program headers are
    put(&0_u64.to_le_bytes()); // no sections
    put(&0_u32.to_le_bytes()); // no flags
    for half in [HEADER_BYTES, PROGRAM_HEADER_BYTES, 1, 0, 0, 0] {
        put(&half.to_le_bytes());
    }
    put(&1_u32.to_le_bytes()); // to be loaded
    put(&5_u32.to_le_bytes()); // read, execute
    for word in [0, ADDRESS, ADDRESS, length, length, ALIGN] {
        put(&word.to_le_bytes());
    }
    put(code);
    put(TEXT.as_bytes());
    file
}

fn x86_64() -> Vec<u8> {
    /// All of it, and what of it comes before the instruction after `lea`.
    const CODE_BYTES: u32 = 33;
    const BEFORE_NEXT: u32 = 17;
    let mut code = Vec::new();
    code.extend([0xb8, 1, 0, 0, 0]); // mov eax, 1 (write)
    code.extend([0xbf, 1, 0, 0, 0]); // mov edi, 1 (standard output)
    code.extend([0x48, 0x8d, 0x35]); // lea rsi, [rip + …]: the text
    code.extend((CODE_BYTES - BEFORE_NEXT).to_le_bytes());
    code.push(0xba); // mov edx, …: its length
    code.extend((TEXT.len() as u32).to_le_bytes());
    code.extend([0x0f, 0x05]); // syscall
    code.extend([0xb8, 60, 0, 0, 0]); // mov eax, 60 (exit)
    code.extend([0x31, 0xff]); // xor edi, edi
    code.extend([0x0f, 0x05]); // syscall
    code
}

fn aarch64() -> Vec<u8> {
    let mov = |register: u32, value: u32| 0xd280_0000 | value << 5 | register;
    let svc = 0xd400_0001;
    // adr x1, text: seven instructions further, counted in words of four bytes.
    let adr = 0x1000_0000 | 7 << 5 | 1;
    let words = [mov(0, 1), adr, mov(2, TEXT.len() as u32), mov(8, 64), svc, mov(0, 0), mov(8, 93), svc];
    words.iter().flat_map(|word: &u32| word.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn it_writes_its_text_and_ends_well() {
        let Some(program) = program(std::env::consts::ARCH) else {
            return eprintln!("skipped: needs x86_64 or aarch64");
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello");
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(&program).unwrap();
        file.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
        drop(file);
        let output = Command::new(&path).env_clear().output().unwrap();
        assert!(output.status.success());
        assert_eq!(String::from_utf8(output.stdout).unwrap(), TEXT);
    }

    #[test]
    fn each_program_needs_nothing_and_no_machine_gets_that_of_another() {
        for architecture in ["x86_64", "aarch64"] {
            let program = program(architecture).unwrap();
            assert_eq!(crate::image::elf::needs(&program), Some(crate::image::elf::Needs::default()));
            assert!(program.ends_with(TEXT.as_bytes()));
        }
        assert_eq!(program("riscv64"), None);
    }
}
