//! The control socket between the node and `container-init`: the request goes over as a memory file with its descriptors.

use std::io::{self, IoSlice, IoSliceMut, Read, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use super::spec::ToInit;

/// Sends a request and its descriptors.
pub(super) fn send(
    socket: BorrowedFd<'_>,
    request: &ToInit,
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let mut memory = std::fs::File::from(memfd_create(c"container", MFdFlags::MFD_CLOEXEC)?);
    memory.write_all(&serde_json::to_vec(request)?)?;
    memory.rewind()?;
    let mut raw: Vec<RawFd> = vec![memory.as_raw_fd()];
    raw.extend(descriptors.iter().map(AsRawFd::as_raw_fd));
    sendmsg::<()>(
        socket.as_raw_fd(),
        &[IoSlice::new(b"c")],
        &[ControlMessage::ScmRights(&raw)],
        MsgFlags::MSG_NOSIGNAL,
        None,
    )?;
    Ok(())
}

/// Receives a request and its descriptors.
pub(super) fn receive(socket: BorrowedFd<'_>) -> io::Result<(ToInit, Vec<OwnedFd>)> {
    let mut byte = [0u8];
    let mut slices = [IoSliceMut::new(&mut byte)];
    let mut space = nix::cmsg_space!([RawFd; 8]);
    let message =
        recvmsg::<()>(socket.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            descriptors.extend(raw.into_iter().map(own));
        }
    }
    if descriptors.is_empty() {
        return Err(io::Error::other("the control socket closed before the request came"));
    }
    let mut text = String::new();
    std::fs::File::from(descriptors.remove(0)).read_to_string(&mut text)?;
    Ok((serde_json::from_str(&text)?, descriptors))
}

#[expect(
    unsafe_code,
    reason = "the kernel has just put this descriptor into our table; nobody else knows it"
)]
fn own(raw: RawFd) -> OwnedFd {
    // SAFETY: received by SCM_RIGHTS a moment ago and handed out once.
    unsafe { OwnedFd::from_raw_fd(raw) }
}
