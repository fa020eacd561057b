//! `mirror pull` and `mirror push`: everything that real clusters are made of, carried to where there is no internet.

use std::path::{Path, PathBuf};
use std::time::Duration;

use embedded::Profile;
use image::without_registry;

use crate::command::Command;
use crate::images_lock::{ImagesLock, LockedImage, fetch};
use crate::plan::{Plan, Task};
use crate::real::{ImageSource, RealRequest};
use crate::tool::ask_daemon;

/// How long one image may take to be pulled, saved, loaded or pushed.
const IMAGE: Duration = Duration::from_secs(900);
/// How long a word to Docker may take.
const MOMENT: Duration = Duration::from_secs(60);

/// Where a mirror keeps a manifest.
pub(crate) fn manifest(mirror: &Path, name: &str) -> PathBuf {
    mirror.join("manifests").join(name)
}

/// Where a mirror keeps the images that k3s itself starts.
pub(crate) fn k3s_archive(mirror: &Path) -> PathBuf {
    mirror.join("k3s-images.tar.zst")
}

fn archive(mirror: &Path, image: &str) -> PathBuf {
    mirror.join("images").join(format!("{}.tar", image.replace(['/', ':'], "_")))
}

/// The archives of a mirror that `request` needs in its nodes.
pub(crate) fn archives(mirror: &Path, request: &RealRequest) -> Vec<ImageSource> {
    let Ok(lock) = ImagesLock::read() else { return Vec::new() };
    let calico = (request.network == Profile::Calico)
        .then(|| lock.calico.images.iter().chain([&lock.probe]).cloned().collect::<Vec<_>>());
    let metallb = request.balancer.as_ref().map(|_| lock.metallb.images.clone());
    let images = calico.into_iter().chain(metallb).flatten();
    images
        .map(|image| ImageSource::Archive {
            file: archive(mirror, &image.tagged()),
            images: vec![image.tagged()],
        })
        .collect()
}

/// Has images of a mirror loaded into the daemon, which would pull them otherwise.
pub(crate) fn load(plan: &mut Plan, mirror: Option<&Path>, images: &[LockedImage]) {
    let Some(mirror) = mirror else { return };
    for image in images {
        let load =
            Command::new("docker").args(["load", "--quiet", "--input"]).arg(archive(mirror, &image.tagged()));
        plan.run(format!("load {}", image.tagged()), Task::new(load.within(IMAGE)));
    }
}

/// Fills `mirror` with everything in the lock, and `more` images.
pub fn pull(mirror: &Path, lock: &ImagesLock, more: &[String]) -> Plan {
    let mut plan = Plan::new();
    plan.run("reach the Docker daemon", Task::look(ask_daemon()));
    let make = Command::new("mkdir").arg("-p").arg(mirror.join("manifests")).arg(mirror.join("images"));
    plan.run("make its directories", Task::new(make.within(MOMENT)));
    for manifest in lock.manifests() {
        manifest.fetch(&mut plan, &mirror.join("manifests"));
    }
    plan.run("fetch the images that k3s starts", Task::new(fetch(&lock.k3s.archive, &k3s_archive(mirror))));
    for (image, tagged) in all(lock, more) {
        plan.run(format!("pull {tagged}"), Task::new(docker(&["pull", "--quiet", &image])));
        if image != tagged {
            plan.run(format!("tag {tagged}"), Task::new(docker(&["tag", &image, &tagged])));
        }
        let save =
            Command::new("docker").args(["save", "--output"]).arg(archive(mirror, &tagged)).arg(&tagged);
        plan.run(format!("save {tagged}"), Task::new(save.within(IMAGE)));
    }
    plan
}

/// Loads `mirror` into the daemon, and from there into `registry`.
pub fn push(mirror: &Path, registry: &str, lock: &ImagesLock, more: &[String]) -> Plan {
    let mut plan = Plan::new();
    plan.run("reach the Docker daemon", Task::look(ask_daemon()));
    for (_, tagged) in all(lock, more) {
        let load = Command::new("docker").args(["load", "--quiet", "--input"]).arg(archive(mirror, &tagged));
        plan.run(format!("load {tagged}"), Task::new(load.within(IMAGE)));
        let there = format!("{registry}/{}", without_registry(&tagged));
        plan.run(format!("tag {there}"), Task::new(docker(&["tag", &tagged, &there])));
        plan.run(format!("push {there}"), Task::new(docker(&["push", "--quiet", &there])));
    }
    plan
}

fn docker(words: &[&str]) -> Command {
    Command::new("docker").args(words).within(IMAGE)
}

/// Each image as it is pulled and as it is called.
fn all(lock: &ImagesLock, more: &[String]) -> Vec<(String, String)> {
    let locked = lock.images().into_iter().map(|image: LockedImage| (image.to_string(), image.tagged()));
    locked.chain(more.iter().map(|image| (image.clone(), image.clone()))).collect()
}
