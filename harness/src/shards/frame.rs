//! Records on a log: a line each, so that a log that was cut off loses the last one and no other.

use std::io::Write;
use std::path::Path;

/// What the line of a record begins with; then come the file's name and the record.
const MARK: &str = "\u{1e}record ";

/// Prints every record in `directory` to `output`.
///
/// # Errors
/// That a record cannot be read or printed.
pub fn hand_over(directory: &Path, output: &mut dyn Write) -> anyhow::Result<usize> {
    let mut files: Vec<_> =
        std::fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>()?;
    files.retain(|file| file.extension().is_some_and(|ending| ending == "json"));
    files.sort();
    for file in &files {
        let record: serde_json::Value = serde_json::from_slice(&std::fs::read(file)?)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        writeln!(output, "{MARK}{name} {record}")?;
    }
    output.flush()?;
    Ok(files.len())
}

/// The records in a log: names of files, and what belongs into them. What is cut off or no record is left out, and then
/// missed when the shards are joined.
pub fn read_handed_over(log: &str) -> Vec<(String, String)> {
    let record = |line: &str| {
        let (name, text) = line.strip_prefix(MARK)?.split_once(' ')?;
        // A name is a name: nothing leads out of the directory.
        let plain = name.ends_with(".json") && !name.contains(['/', '\\']) && !name.starts_with('.');
        let whole = serde_json::from_str::<serde_json::Value>(text).is_ok();
        (plain && whole).then(|| (name.to_owned(), text.to_owned()))
    };
    log.lines().filter_map(record).collect()
}

/// The rest of a log.
pub(super) fn without_records(log: &str) -> String {
    let others = log.lines().filter(|line| !line.starts_with(MARK));
    others.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_read_again() {
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        write("b.json", "{\"case\":\n  \"two\\nlines\"}");
        write("a.json", "{}");
        write("a.cluster.log", "noise");
        let mut log = b"passed  serving: a\n".to_vec();
        assert_eq!(hand_over(directory.path(), &mut log).unwrap(), 2);
        log.extend(b"the end\n");
        let log = String::from_utf8(log).unwrap();
        let owned = |name: &str, text: &str| (name.to_owned(), text.to_owned());
        assert_eq!(
            read_handed_over(&log),
            [owned("a.json", "{}"), owned("b.json", "{\"case\":\"two\\nlines\"}")]
        );
        assert_eq!(without_records(&log), "passed  serving: a\nthe end\n");
    }

    #[test]
    fn what_is_no_whole_record_is_left_out() {
        let cut =
            format!("{MARK}a.json {{\"case\"\n{MARK}../b.json {{}}\n{MARK}.c.json {{}}\n{MARK}d.txt {{}}\n");
        assert_eq!(read_handed_over(&cut), []);
    }
}
