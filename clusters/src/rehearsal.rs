//! What starting an embedded cluster does, as text: for dry runs.

use embedded::{Program, ProgramImage, ingredients};

use crate::cluster::ClusterRequest;
use crate::command::Command;
use crate::plan::feed;
use crate::programs::Programs;

/// A cluster's beginning and its end, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterTranscript {
    /// From nothing to Ready.
    pub up: String,
    /// From there to nothing.
    pub down: String,
}

/// What [`crate::Cluster::start_embedded`] would do with `request`, and what is done at the cluster's end. Nothing is touched,
/// and no program needs to be there.
///
/// # Errors
/// serde_json's; Kubernetes types always serialise.
pub fn rehearse_embedded(request: ClusterRequest, programs: &Programs) -> anyhow::Result<ClusterTranscript> {
    let spec = request.describe(programs);
    let made = ingredients(&spec)?;
    let load =
        |script: &str| Command::new(spec.nft.display().to_string()).args(made.nft_arguments).input(script);
    let steps = [
        format!(
            "# start the supervisor: user, mount, uts, ipc, pid and network namespaces of its own, in which all that \
             follows happens\n{} > LOG 2>&1 &\n",
            ourselves(&[made.supervisor.to_owned()]),
        ),
        format!(
            "# it is API server, controllers, kubelet and kube-proxy itself; its node's links are made through netlink, its \
             files are\n# in a tmpfs over {}, and the API begins with\n{}",
            spec.mountpoint.display(),
            comment(&made.initial),
        ),
        format!(
            "# log packets that begin connections, where they come and where they go on\n{}\n",
            load(&made.logging)
        ),
        format!(
            "# load packet rules: these of an empty {} at first, and anew as a whole whenever Services, endpoints, pods or \
             policies change\n{}\n",
            made.node,
            load(&made.rules),
        ),
        format!(
            "# create the cluster's DNS and the storage class (through the API, as this would)\n{}\n",
            feed("kubectl create --filename -", &made.objects),
        ),
        format!(
            "# have the node and the cluster's DNS Ready\n# ... until Node {} is Ready, and Service kube-system/kube-dns has \
             an address that answers\n",
            made.node,
        ),
        format!(
            "# start a pod's container: the program of its image, in namespaces of the pod's\n{} < ORDER\n# the images on the \
             node, each with what it runs\n{}",
            ourselves(&[made.container.to_owned()]),
            image_comments(&made.images),
        ),
    ];
    let down = "# end the supervisor, and with the first process of its pid namespace every other one; nothing else is \
                left of it\n";
    Ok(ClusterTranscript { up: steps.join("\n"), down: down.into() })
}

/// Words, three on each line of a comment.
fn comment(words: &[String]) -> String {
    words.chunks(3).map(|line| format!("#   {}\n", line.join("  "))).collect()
}

/// What each image's programs are, as comments.
pub fn image_comments(images: &[ProgramImage]) -> String {
    let mut text = String::new();
    for image in images {
        let line = Command::new(image.entrypoint.first().cloned().unwrap_or_default());
        text.push_str(&format!("#   {}: {}\n", image.reference, line.args(image.entrypoint.iter().skip(1))));
        for (name, program) in &image.programs {
            let program = match program {
                Program::Builtin(builtin) => format!("this program, as {builtin}"),
                Program::Host(path) => path.display().to_string(),
            };
            text.push_str(&format!("#     {name} is {program}\n"));
        }
    }
    text
}

/// This program, as one of its built-in ones.
pub(crate) fn ourselves(words: &[String]) -> Command {
    Command::new("seldon-conformance").arg("builtin").args(words)
}
