//! Running `nft`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

/// Far longer than the largest rule set takes on a busy machine; a program that needs it hangs.
const LIMIT: Duration = Duration::from_secs(30);

/// What `nft` is started with: it reads its script from standard input.
pub const ARGUMENTS: [&str; 2] = ["-f", "-"];

/// Why a rule set was not applied.
#[derive(Debug, thiserror::Error)]
pub enum NftError {
    /// The program is not there, or may not be run.
    #[error("cannot run {program}: {source}; install nftables or name the program in the settings")]
    Run {
        /// The program.
        program: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// It does not take the rules, or has none to show; in its words.
    #[error("nft refused the rules: {0}")]
    Refused(String),
    /// It hangs.
    #[error("{program} did not end within {limit:?} and was killed")]
    Late {
        /// The program.
        program: String,
        /// How long it was waited for.
        limit: Duration,
    },
}

/// Applies a script as one transaction: all of it or nothing.
pub(crate) async fn apply(program: &Path, script: &str) -> Result<(), NftError> {
    within(LIMIT, program, &ARGUMENTS, script).await.map(drop)
}

/// A table with its counters, as JSON.
pub(super) async fn list(program: &Path, table: &str) -> Result<Vec<u8>, NftError> {
    within(LIMIT, program, &["-j", "list", "table", "ip", table], "").await
}

async fn within(
    limit: Duration,
    program: &Path,
    arguments: &[&str],
    script: &str,
) -> Result<Vec<u8>, NftError> {
    let late = |_| NftError::Late { program: program.display().to_string(), limit };
    tokio::time::timeout(limit, run_to_end(program, arguments, script)).await.map_err(late)?
}

async fn run_to_end(program: &Path, arguments: &[&str], script: &str) -> Result<Vec<u8>, NftError> {
    let run = |source| NftError::Run { program: program.display().to_string(), source };
    let mut child = tokio::process::Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(run)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A refusal closes the pipe early; the exit status tells then.
        let _ = stdin.write_all(script.as_bytes()).await;
    }
    let output = child.wait_with_output().await.map_err(run)?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(NftError::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use tokio::io::AsyncReadExt;

    /// A shell given nft's arguments reads its script from the same place.
    #[rstest]
    #[case::applied("/bin/sh", "exit 0", None)]
    #[case::refused("/bin/sh", "echo no >&2; exit 1", Some("nft refused the rules: no"))]
    #[case::absent(
        "/no/nft",
        "",
        Some(
            "cannot run /no/nft: No such file or directory (os error 2); install nftables or name the program in the settings"
        )
    )]
    #[tokio::test]
    async fn a_script_is_applied_or_its_failure_told(
        #[case] program: &str,
        #[case] script: &str,
        #[case] expected: Option<&str>,
    ) {
        let result = apply(Path::new(program), script).await;
        assert_eq!(result.map_err(|error| error.to_string()).err().as_deref(), expected);
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_given_up() {
        let result = within(Duration::from_millis(10), Path::new("/bin/sh"), &[], "exec sleep 600").await;
        assert_eq!(result.unwrap_err().to_string(), "/bin/sh did not end within 10ms and was killed");
    }

    #[tokio::test]
    async fn a_program_given_up_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut held = tokio::net::unix::pipe::OpenOptions::new().open_receiver(&fifo).unwrap();
        let script = format!("exec > {}; echo up; exec sleep 600", fifo.display());
        let mut up = [0; 3];
        {
            let hangs = apply(Path::new("/bin/sh"), &script);
            tokio::select! {
                ended = hangs => panic!("{ended:?}"),
                read = async {
                    held.readable().await.unwrap();
                    held.read_exact(&mut up).await
                } => drop(read.unwrap()),
            }
        }
        // The end of the pipe is the end of whoever held it.
        assert_eq!(held.read_to_end(&mut Vec::new()).await.unwrap(), 0);
    }
}
