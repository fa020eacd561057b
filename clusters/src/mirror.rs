//! `mirror pull` and `mirror push`: everything that real clusters are made of, carried to where there is no internet.

use std::path::{Path, PathBuf};
use std::time::Duration;

use embedded::Profile;
use image::without_registry;

use crate::command::Command;
use crate::helm::Helm;
use crate::images_lock::{ImagesLock, LockedImage, ReleaseLock, fetch};
use crate::plan::{Expectation, Plan, Task};
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

/// Where a mirror keeps an image.
pub fn archive(mirror: &Path, image: &str) -> PathBuf {
    mirror.join("images").join(format!("{}.tar", image.replace(['/', ':'], "_")))
}

/// Where a mirror keeps the archives of charts.
pub fn charts(mirror: &Path) -> PathBuf {
    mirror.join("charts")
}

/// The archives of a mirror that `request` needs in its nodes, beside those that it names.
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

/// Fills `mirror` with everything that clusters of the lock are made of, with the charts and images of `releases`, which
/// `helm` fetches, and with `more` images. Which digests the images had is written beside them.
pub fn pull(mirror: &Path, lock: &ImagesLock, releases: &[(&ReleaseLock, &Helm)], more: &[String]) -> Plan {
    let mut plan = Plan::new();
    plan.run("reach the Docker daemon", Task::look(ask_daemon()));
    let make = Command::new("mkdir").arg("-p").arg(mirror.join("manifests")).arg(mirror.join("images"));
    plan.run("make its directories", Task::new(make.within(MOMENT)));
    for manifest in lock.manifests() {
        manifest.fetch(&mut plan, &mirror.join("manifests"));
    }
    plan.run("fetch the images that k3s starts", Task::new(fetch(&lock.k3s.archive, &k3s_archive(mirror))));
    for (release, helm) in releases {
        pull_charts(&mut plan, mirror, release, helm);
    }
    let of_releases = releases.iter().flat_map(|(release, _)| &release.images).map(as_pulled);
    for (image, tagged) in all(lock, more).into_iter().chain(of_releases) {
        plan.run(format!("pull {tagged}"), Task::new(docker(&["pull", "--quiet", &image])));
        if image != tagged {
            plan.run(format!("tag {tagged}"), Task::new(docker(&["tag", &image, &tagged])));
        }
        let save =
            Command::new("docker").args(["save", "--output"]).arg(archive(mirror, &tagged)).arg(&tagged);
        plan.run(format!("save {tagged}"), Task::new(save.within(IMAGE)));
        let lines = "{{range .RepoDigests}}{{println .}}{{end}}";
        let digests = docker(&["image", "inspect", "--format", lines, &tagged]).within(MOMENT);
        let file = archive(mirror, &tagged).with_extension("digests");
        plan.run(format!("write the digests of {tagged}"), Task::new(digests).into_file(file));
    }
    plan
}

fn pull_charts(plan: &mut Plan, mirror: &Path, release: &ReleaseLock, helm: &Helm) {
    let place = charts(mirror);
    let make = Command::new("mkdir").arg("-p").arg(&place).within(MOMENT);
    plan.run(format!("make the directory of the charts of {}", release.version), Task::new(make));
    for chart in &release.charts {
        let pull = helm.pull(&release.repository, &chart.name, &release.version, &place).within(IMAGE);
        let look = Command::new("sha256sum").arg(place.join(release.archive(&chart.name))).within(MOMENT);
        let proof = vec![(look, Expectation::Sha256(chart.sha256.clone()))];
        plan.run(format!("fetch {}", release.archive(&chart.name)), Task::new(pull).proved_by(proof, 2));
    }
    let forget = Command::new("rm").arg("-rf").arg(place.join(Helm::HOME)).within(MOMENT);
    plan.run("remove what helm keeps for itself", Task::new(forget));
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

fn as_pulled(image: &LockedImage) -> (String, String) {
    (image.to_string(), image.tagged())
}

/// Each image as it is pulled and as it is called.
fn all(lock: &ImagesLock, more: &[String]) -> Vec<(String, String)> {
    let locked = lock.images();
    let locked = locked.iter().map(as_pulled);
    locked.chain(more.iter().map(|image| (image.clone(), image.clone()))).collect()
}
