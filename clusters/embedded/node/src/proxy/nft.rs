//! Running `nft`.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;

/// Why a rule set was not applied.
#[derive(Debug, thiserror::Error)]
pub(super) enum NftError {
    #[error("cannot run {program}: {source}; install nftables or name the program in the settings")]
    Run { program: String, source: std::io::Error },
    #[error("nft refused the rules: {0}")]
    Refused(String),
}

/// Applies a script as one transaction: all of it or nothing.
pub(super) async fn apply(program: &Path, script: &str) -> Result<(), NftError> {
    let run = |source| NftError::Run { program: program.display().to_string(), source };
    let mut child = tokio::process::Command::new(program)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
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
        Ok(())
    } else {
        Err(NftError::Refused(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
    }
}
