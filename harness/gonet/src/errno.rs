//! System errors in Go's words (`syscall.Errno.Error`, Linux).

use std::io;

/// The system call Go names in front of an errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// `connect: …`
    Connect,
    /// `read: …`
    Read,
    /// `write: …`
    Write,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Operation::Connect => "connect",
            Operation::Read => "read",
            Operation::Write => "write",
        }
    }
}

/// An I/O error as Go's `net` prints the part after the addresses: `connect: connection refused`, `i/o timeout`, `EOF`.
pub fn go_text(operation: Operation, error: &io::Error) -> String {
    let Some(code) = error.raw_os_error() else {
        return match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "i/o timeout".to_owned(),
            io::ErrorKind::UnexpectedEof => "EOF".to_owned(),
            _ => error.to_string(),
        };
    };
    let words = match code {
        1 => "operation not permitted",
        13 => "permission denied",
        22 => "invalid argument",
        32 => "broken pipe",
        98 => "address already in use",
        99 => "cannot assign requested address",
        100 => "network is down",
        101 => "network is unreachable",
        103 => "software caused connection abort",
        104 => "connection reset by peer",
        110 => "connection timed out",
        111 => "connection refused",
        112 => "host is down",
        113 => "no route to host",
        _ => return format!("{}: {}", operation.name(), plain(error)),
    };
    format!("{}: {words}", operation.name())
}

/// The C library's words without Rust's `(os error N)`, in lower case as Go's table has them.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Operation::Connect, 111, "connect: connection refused")]
    #[case(Operation::Connect, 113, "connect: no route to host")]
    #[case(Operation::Connect, 101, "connect: network is unreachable")]
    #[case(Operation::Connect, 1, "connect: operation not permitted")]
    #[case(Operation::Connect, 110, "connect: connection timed out")]
    #[case(Operation::Read, 104, "read: connection reset by peer")]
    #[case(Operation::Write, 1, "write: operation not permitted")]
    #[case(Operation::Read, 5, "read: input/output error")]
    fn words_are_gos(#[case] operation: Operation, #[case] code: i32, #[case] text: &str) {
        assert_eq!(go_text(operation, &io::Error::from_raw_os_error(code)), text);
    }

    #[test]
    fn an_expired_deadline_is_an_io_timeout() {
        assert_eq!(go_text(Operation::Read, &io::ErrorKind::TimedOut.into()), "i/o timeout");
    }
}
