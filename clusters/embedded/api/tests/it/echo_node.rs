//! A node without processes: logs are two lines, `cat` echoes, `false` fails, ports answer in capitals.

use bytes::Bytes;
use embedded_api::{ExecExit, ExecOutput, NodeError, NodeRequest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

/// Serves requests until the server is gone.
pub(crate) async fn serve(mut requests: mpsc::Receiver<NodeRequest>) {
    while let Some(request) = requests.recv().await {
        tokio::spawn(answer(request));
    }
}

async fn answer(request: NodeRequest) {
    match request {
        NodeRequest::Logs { container, tail_lines, previous, reply, .. } => {
            if previous {
                let why = format!("previous terminated container {container:?} in pod \"p\" not found");
                return drop(reply.send(Err(NodeError::BadRequest(why))));
            }
            let lines = ["first\n", "second\n"];
            let skip = tail_lines.map_or(0, |tail| 2usize.saturating_sub(usize::try_from(tail).unwrap_or(0)));
            let (sender, receiver) = mpsc::channel(4);
            drop(reply.send(Ok(receiver)));
            for line in &lines[skip..] {
                drop(sender.send(Bytes::from_static(line.as_bytes())).await);
            }
        }
        NodeRequest::Exec { command, stdin, output, mut resize, reply, .. } => {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            let result = match command.as_slice() {
                ["cat"] => {
                    let mut stdin = stdin.expect("cat is run with stdin");
                    while let Some(data) = stdin.recv().await {
                        drop(output.send(ExecOutput::Stdout(data)).await);
                    }
                    Ok(ExecExit { code: 0 })
                }
                ["size"] => {
                    let size = resize.recv().await.map(|size| format!("{}x{}", size.width, size.height));
                    drop(output.send(ExecOutput::Stdout(size.unwrap_or_default().into())).await);
                    Ok(ExecExit { code: 0 })
                }
                ["echo", words @ ..] => {
                    drop(output.send(ExecOutput::Stdout(format!("{}\n", words.join(" ")).into())).await);
                    Ok(ExecExit { code: 0 })
                }
                ["false"] => {
                    drop(output.send(ExecOutput::Stderr(Bytes::from_static(b"no\n"))).await);
                    Ok(ExecExit { code: 3 })
                }
                _ => Err(NodeError::Internal("exec: no such program".to_owned())),
            };
            drop(reply.send(result));
        }
        NodeRequest::Attach { output, reply, .. } => {
            drop(output.send(ExecOutput::Stdout(Bytes::from_static(b"attached\n"))).await);
            drop(reply.send(Ok(ExecExit { code: 0 })));
        }
        NodeRequest::PortForward { port: 80, mut stream, reply, .. } => {
            drop(reply.send(Ok(())));
            let mut buffer = [0; 64];
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                drop(stream.write_all(&buffer[..length].to_ascii_uppercase()).await);
            }
        }
        NodeRequest::PortForward { port, reply, .. } => {
            drop(reply.send(Err(NodeError::Internal(format!(
                "dial tcp4 127.0.0.1:{port}: connect: connection refused"
            )))));
        }
    }
}
