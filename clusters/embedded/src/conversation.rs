//! The harness's side of the conversation with a supervisor: every command has one answer, in order.

use std::io;
use std::os::unix::net::UnixStream;

use serde::Serialize;

use crate::wire::{Command, Reply, Wire};

/// A conversation that whoever asks may leave before the answer.
#[derive(Debug)]
pub(crate) struct Conversation {
    wire: Wire,
    /// Commands that were sent and not answered yet.
    owed: usize,
}

impl Conversation {
    /// Over `socket`, which must be non-blocking.
    ///
    /// # Errors
    /// The runtime's, when it cannot watch the socket.
    pub(crate) fn new(socket: UnixStream) -> io::Result<Conversation> {
        Ok(Conversation { wire: Wire::new(socket)?, owed: 0 })
    }

    /// Whether `command` was sent, and what was answered; `None` when the other side is gone. A failed send is not the last
    /// word: the supervisor may have said why before it ended.
    pub(crate) async fn ask<S: Serialize>(
        &mut self,
        command: &Command<S>,
    ) -> (io::Result<()>, io::Result<Option<Reply>>) {
        let sent = self.wire.send(command).await;
        // From here on an answer is owed, whether or not this future lives to see it.
        self.owed += usize::from(sent.is_ok());
        loop {
            let answer = self.wire.receive().await;
            self.owed = self.owed.saturating_sub(1);
            if self.owed == 0 || !matches!(answer, Ok(Some(_))) {
                return (sent, answer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A conversation, and the other side of it.
    fn pair() -> (Conversation, Wire) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        for end in [&ours, &theirs] {
            end.set_nonblocking(true).unwrap();
        }
        (Conversation::new(ours).unwrap(), Wire::new(theirs).unwrap())
    }

    #[tokio::test]
    async fn who_asks_gets_no_answer_to_what_was_asked_before() {
        let (mut conversation, mut supervisor) = pair();
        for _ in 0..2 {
            tokio::select! {
                biased;
                _ = conversation.ask(&Command::<()>::DeniedPackets) => unreachable!("nobody has answered"),
                command = supervisor.receive::<Command<()>>() => {
                    assert!(matches!(command.unwrap(), Some(Command::DeniedPackets)));
                }
            }
        }
        for _ in 0..2 {
            supervisor.send(&Reply::DeniedPackets(Vec::new())).await.unwrap();
        }
        supervisor.send(&Reply::Done).await.unwrap();
        supervisor.send(&Reply::Failed("no".into())).await.unwrap();
        let (_, first) = conversation.ask(&Command::<()>::UpstreamQuestions).await;
        assert!(matches!(first.unwrap(), Some(Reply::Done)));
        let (_, second) = conversation.ask(&Command::<()>::Stop).await;
        assert!(matches!(second.unwrap(), Some(Reply::Failed(_))));
    }

    #[tokio::test]
    async fn what_was_said_before_the_end_is_heard() {
        let (mut conversation, mut supervisor) = pair();
        supervisor.send(&Reply::NotUp("no room".into())).await.unwrap();
        drop(supervisor);
        let (sent, answer) = conversation.ask(&Command::<()>::Stop).await;
        assert!(sent.is_err());
        assert!(matches!(answer.unwrap(), Some(Reply::NotUp(_))));
        let (_, answer) = conversation.ask(&Command::<()>::Stop).await;
        assert!(!matches!(answer, Ok(Some(_))));
    }
}
