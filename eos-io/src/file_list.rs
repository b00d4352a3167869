//! Lists of files in a file: one spec per line, as `--files-from` of other tools reads them.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use crate::error::Error;

/// Reads a list of specs, one per line; `-` is standard input.
///
/// White space around a line is dropped, empty lines and lines that begin with `#` are skipped
/// (a `#` further on is part of the name). Relative paths in the list mean what they would mean
/// on the command line: they start from the current directory. This reads with plain blocking
/// calls.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let dir = tempfile::tempdir()?;
/// # let list = dir.path().join("runs.txt");
/// # let list = list.to_str().unwrap();
/// std::fs::write(list, "# 2024\nrun1.root\n\nrun2.root:Events\n")?;
/// assert_eq!(eos_io::read_file_list(list)?, ["run1.root", "run2.root:Events"]);
/// # Ok(())
/// # }
/// ```
pub fn read_file_list(path: &str) -> Result<Vec<String>, Error> {
    if path == "-" {
        return parse(io::stdin().lock(), "standard input");
    }
    let file = File::open(path).map_err(|e| Error::from_io(path, &e))?;
    parse(BufReader::new(file), path)
}

fn parse(mut reader: impl BufRead, list: &str) -> Result<Vec<String>, Error> {
    let mut specs = Vec::new();
    let mut line = Vec::new();
    for number in 1_usize.. {
        line.clear();
        let read = reader.read_until(b'\n', &mut line).map_err(|e| Error::from_io(list, &e))?;
        if read == 0 {
            break;
        }
        let bad = |reason: &str| Error::FileList { list: list.to_owned(), line: number, reason: reason.to_owned() };
        let text = str::from_utf8(&line).map_err(|_| bad("it is not UTF-8 text"))?;
        let text = match number {
            1 => text.trim_start_matches('\u{feff}').trim(),
            _ => text.trim(),
        };
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if text.contains(char::is_control) {
            return Err(bad("it holds a control character"));
        }
        specs.push(text.to_owned());
    }
    Ok(specs)
}

#[cfg(test)]
mod tests {
    use super::{parse, read_file_list};
    use crate::ErrorKind;

    #[test]
    fn keeps_the_order_and_skips_comments_and_blank_lines() {
        let text = "# runs\n a.root \n\n\t# more\nb c.root#1:Events\r\n\r\nc.root";
        assert_eq!(parse(text.as_bytes(), "l").unwrap(), ["a.root", "b c.root#1:Events", "c.root"]);
    }

    #[test]
    fn skips_a_byte_order_mark() {
        assert_eq!(parse("\u{feff}a\n".as_bytes(), "l").unwrap(), ["a"]);
    }

    #[test]
    fn an_empty_list_names_no_files() {
        assert!(parse("# nothing\n".as_bytes(), "l").unwrap().is_empty());
    }

    #[test]
    fn an_unreadable_line_is_named_by_its_number() {
        for bytes in [&b"a.root\n\n\xff.root\n"[..], b"a.root\n\na\0b\n"] {
            let error = parse(bytes, "runs.txt").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidSpec);
            assert!(error.to_string().starts_with("runs.txt, line 3:"), "{error}");
        }
    }

    #[test]
    fn a_missing_list_is_not_found() {
        let error = read_file_list("/does/not/exist.txt").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("/does/not/exist.txt"));
    }
}
