//! A machine with pretended programs: `pretend/k3d` and `pretend/docker` are first on the path.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use harness::clusters::ImagesLock;

use crate::door::{Answer, as_nobody, binary};
use crate::place::Place;
use crate::up::Up;

const K3D: &str = include_str!("pretend/k3d");
const DOCKER: &str = include_str!("pretend/docker");
/// Only where it is asked for.
pub(crate) const K3S: &str = include_str!("pretend/k3s");
/// What that brings along.
pub(crate) const BUSYBOX: &str = include_str!("pretend/busybox");
/// Brings up a cluster of that program.
pub(crate) const K3S_UP: [&str; 12] = [
    "cluster",
    "up",
    "conformance",
    "--cluster",
    "k3s",
    "--k3s",
    "binary",
    "--mesh",
    "none",
    "--images=present",
    "--timeout",
    "60",
];

/// A place, the pretended programs in it, and what they keep.
pub(crate) struct Stage {
    place: Place,
}

impl Stage {
    /// With both programs.
    pub(crate) fn new() -> Stage {
        let stage = Stage { place: Place::empty() };
        fs::create_dir(stage.file("bin")).unwrap();
        fs::create_dir(stage.file("state")).unwrap();
        stage.program("k3d", K3D);
        stage.program("docker", DOCKER);
        stage
    }

    /// Puts a program on the path.
    pub(crate) fn program(&self, name: &str, text: &str) {
        let file = self.file("bin").join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Takes one off it.
    pub(crate) fn without(&self, name: &str) {
        fs::remove_file(self.file("bin").join(name)).unwrap();
    }

    /// Puts on the path what fetches files; each is then said to be the one that is locked.
    pub(crate) fn fetches(&self) {
        self.program("helm", include_str!("pretend/helm"));
        self.program("curl", include_str!("pretend/curl"));
        self.program("sha256sum", include_str!("pretend/sha256sum"));
        let lock = ImagesLock::read().unwrap();
        fs::create_dir(self.state("hashes")).unwrap();
        for manifest in lock.manifests() {
            self.tell(&format!("hashes/{}", manifest.name), manifest.sha256.as_deref().unwrap());
        }
        for release in &lock.releases {
            for chart in &release.charts {
                self.tell(&format!("hashes/{}", release.archive(&chart.name)), &chart.sha256);
            }
        }
    }

    /// Tells the programs something.
    pub(crate) fn tell(&self, name: &str, text: &str) {
        fs::write(self.state(name), text).unwrap();
    }

    /// Makes the next imports lie.
    pub(crate) fn let_imports_lie(&self, times: usize) {
        let lies = self.state("import-lies");
        fs::create_dir_all(&lies).unwrap();
        (0..times).for_each(|lie| fs::write(lies.join(lie.to_string()), "").unwrap());
    }

    fn file(&self, name: &str) -> PathBuf {
        self.place.directory().join(name)
    }

    /// What the programs keep under this name.
    pub(crate) fn state(&self, name: &str) -> PathBuf {
        self.file("state").join(name)
    }

    /// What the programs keep below this directory.
    pub(crate) fn kept(&self, directory: &str) -> Vec<String> {
        let entries = fs::read_dir(self.state(directory)).into_iter().flatten();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Every command line that the programs were given, in order.
    pub(crate) fn log(&self) -> Vec<String> {
        let text = fs::read_to_string(self.state("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// How often a program was given a line that begins with `words`.
    pub(crate) fn times(&self, words: &str) -> usize {
        self.log().iter().filter(|line| line.starts_with(words)).count()
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The binary with `arguments`. The rest of the path has what scripts need, and nobody's k3d or docker.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binary(&self.place, arguments);
        command.env("PATH", format!("{}:/usr/bin:/bin:/usr/sbin:/sbin", self.file("bin").display()));
        command.env("PRETEND", self.file("state")).env("HOME", self.place.temporary());
        command.env_remove("KUBECONFIG").env_remove("DOCKER_HOST").env_remove("XDG_CONFIG_HOME");
        command
    }

    /// The same as an ordinary user, whose everything here then is; `None` unless the tester is root.
    pub(crate) fn command_as_nobody(&self, arguments: &[&str]) -> Option<Command> {
        let mut command = as_nobody(&self.place, arguments)?;
        for file in self.place.files().iter().filter(|file| file.starts_with("state")) {
            std::os::unix::fs::chown(self.file(file), Some(65534), Some(65534)).unwrap();
        }
        for (name, value) in self.command(arguments).get_envs().filter(|(name, _)| *name != "HOME") {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Some(command)
    }

    /// The binary where the path has nothing but the pretended programs, and what these need.
    pub(crate) fn alone(&self, arguments: &[&str]) -> Command {
        let bin = self.file("bin");
        for program in ["sh", "sed", "mkdir", "cat"].iter().filter(|program| !bin.join(program).exists()) {
            std::os::unix::fs::symlink(format!("/bin/{program}"), bin.join(program)).unwrap();
        }
        let mut command = self.command(arguments);
        command.env("PATH", bin);
        command
    }

    /// Runs it to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Answer {
        Answer::of(&mut self.command(arguments))
    }

    /// An embedded cluster whose API stands behind the pretended nodes; k3d calls its context as it calls every one.
    pub(crate) fn behind<'a>(&self, owner: &'a Place, address: &str) -> Up<'a> {
        let up = Up::new(owner, "behind", address, &["--mesh", "none"]);
        fs::copy(up.kubeconfig(), self.state("kubeconfig")).unwrap();
        up
    }

    /// Directories of real clusters in the cache.
    pub(crate) fn ledgers(&self) -> Vec<String> {
        let entries = fs::read_dir(self.place.cache().join("real-clusters")).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    /// Nothing of a cluster is there any more, with whatever k3d forgets.
    #[track_caller]
    pub(crate) fn assert_nothing_is_left(&self) {
        for kind in ["clusters", "networks", "volumes"] {
            assert_eq!(
                self.kept(kind),
                [""; 0],
                "{kind} are left; the programs were told\n{:#?}",
                self.log()
            );
        }
        assert_eq!(self.ledgers(), [""; 0]);
        // Neither k3d's temporary files nor anything in the person's home.
        assert_eq!(fs::read_dir(self.place.temporary()).unwrap().count(), 0);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A test that failed leaves what it began to this.
        for name in self.ledgers() {
            drop(self.run(&["cluster", "gc", &name]));
        }
    }
}
