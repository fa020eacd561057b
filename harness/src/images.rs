//! Images made of this machine's programs: which name becomes which process.
//!
//! Seldon's own programs are stand-ins in this executable; Envoy, rclone and MLServer are the provisioned real ones.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use clusters::{Cache, Program, ProgramImage, Programs};
use pace::Pace;

use crate::seldon::{ModelServer, SeldonSource};

/// Built-in programs that this crate's images name. A binary hands them to [`clusters::intercept`].
pub use standin_programs::BUILTINS;

/// Image of pods that exist to look from: it waits, and probes are executed in it.
pub const TOOLBOX: &str = "seldon-conformance/toolbox:1";
/// Where the program that probes is in each of our images.
pub(crate) const PROBES: &str = "/toolbox";
/// Image of this program itself, as which it runs in pods: a cluster inside a cluster.
pub const SUITE: &str = "seldon-conformance/suite:1";
/// Name of the built-in program in it; a binary that has it hands it to [`clusters::intercept`] with [`BUILTINS`].
pub const SUITE_PROGRAM: &str = "suite";
/// Image of the artefact store.
pub const STORE: &str = "seldon-conformance/store:1";

/// Image of the stand-in for MLServer.
pub const MODEL_SERVER: &str = "seldon-conformance/model-server:1";

/// How the names of Seldon's images begin.
const SELDONS: &str = "docker.io/seldonio/";
/// How the names of our own do.
const OWN: &str = "seldon-conformance/";

/// What the images of [`own`] are called: those of the stand-ins, and those around every mesh.
pub const REFERENCES: [&str; 8] = with_server("seldon-conformance/mlserver:1.7.1");

/// The same where models are loaded into the stand-in for MLServer.
pub const REFERENCES_WITHOUT_MLSERVER: [&str; 8] = with_server(MODEL_SERVER);

const fn with_server(server: &'static str) -> [&'static str; 8] {
    [
        "seldon-conformance/seldonv2-controller:2.9.1",
        "seldon-conformance/seldon-scheduler:2.9.1",
        "seldon-conformance/seldon-agent:2.9.1",
        "seldon-conformance/seldon-envoy:2.9.1",
        "seldon-conformance/seldon-rclone:2.9.1",
        server,
        TOOLBOX,
        STORE,
    ]
}

/// Those of them that a mesh of `seldon` needs on a node: where it is Seldon's charts', its images are pulled.
pub fn needed(seldon: &SeldonSource) -> &'static [&'static str] {
    match seldon {
        SeldonSource::StandIn(ModelServer::MlServer) => &REFERENCES,
        SeldonSource::StandIn(ModelServer::StandIn) => &REFERENCES_WITHOUT_MLSERVER,
        SeldonSource::Release(_) | SeldonSource::Charts(_) => &[TOOLBOX, STORE],
    }
}

/// Our own name for what stands in for one of Seldon's images. Where nodes may have the real one, or get it from a
/// registry, only that name says which of the two runs.
pub(crate) fn own_name(reference: &str) -> Option<String> {
    reference.strip_prefix(SELDONS).map(|rest| format!("{OWN}{rest}"))
}

/// Whether an image is called as ours are.
pub(crate) fn is_own(reference: &str) -> bool {
    reference.starts_with(OWN)
}

/// Our images under our own names, for `programs` at `pace`, and with them what models are loaded into.
pub fn own(programs: &Programs, pace: Pace, server: ModelServer) -> Vec<ProgramImage> {
    let tagged = |name: &str| format!("{OWN}{name}:2.9.1");
    let mut images = vec![
        builtin(tagged("seldonv2-controller"), "/manager", "standin-controller"),
        builtin(tagged("seldon-scheduler"), "/bin/scheduler", "standin-scheduler"),
        builtin(tagged("seldon-agent"), "/bin/agent", "standin-agent"),
        envoy(tagged("seldon-envoy"), programs, pace),
        rclone(tagged("seldon-rclone"), programs),
        match server {
            ModelServer::MlServer => mlserver(programs),
            ModelServer::StandIn => builtin(MODEL_SERVER.into(), "/model-server", "standin-mlserver"),
        },
        builtin(TOOLBOX.into(), "/toolbox", "toolbox"),
        store(programs),
    ];
    for image in &mut images {
        // Probes run in the pod whose view of the network matters.
        image.programs.insert(PROBES.into(), Program::Builtin("toolbox".into()));
        image.env.insert(pace::VARIABLE.into(), pace.factor().to_string());
    }
    images
}

/// The same, and the stand-ins under Seldon's names, too: for clusters of ours, whose nodes have and get no others.
pub fn table(programs: &Programs, pace: Pace, server: ModelServer) -> Vec<ProgramImage> {
    let images = own(programs, pace, server);
    let stand_ins =
        images.iter().filter(|image| ![MODEL_SERVER, TOOLBOX, STORE].contains(&image.reference.as_str()));
    let named = stand_ins.map(|image| {
        let reference = image.reference.replacen(OWN, SELDONS, 1);
        ProgramImage { reference, ..image.clone() }
    });
    let named: Vec<ProgramImage> = named.collect();
    [images, named].concat()
}

/// The table with [`SUITE`] in it, for a cluster that lends its processors to others.
pub fn table_with_suite(programs: &Programs, pace: Pace, server: ModelServer) -> Vec<ProgramImage> {
    let mut images = table(programs, pace, server);
    images.push(suite(programs));
    images
}

/// This program. It looks for its programs where we found them.
fn suite(programs: &Programs) -> ProgramImage {
    let mut image = builtin(SUITE.into(), "/seldon-conformance", SUITE_PROGRAM);
    image.env.insert(Cache::VARIABLE.into(), programs.cache().display().to_string());
    // What is in the cache was made for this Python.
    let python = programs.python.parent().map(|directory| directory.display().to_string());
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    image.env.insert("PATH".into(), format!("{}:{path}", python.unwrap_or_default()));
    // Entries of the cache may be links into another one.
    let real = programs.mlserver_packages.parent().map(Path::to_owned);
    image.trees = real.into_iter().chain([programs.cache().to_owned()]).collect();
    image
}

fn image(reference: String, entrypoint: &[&str]) -> ProgramImage {
    ProgramImage {
        reference,
        entrypoint: entrypoint.iter().map(|word| (*word).to_owned()).collect(),
        command: Vec::new(),
        env: Default::default(),
        working_dir: None,
        programs: Default::default(),
        files: Default::default(),
        trees: Default::default(),
    }
}

fn builtin(reference: String, path: &str, program: &str) -> ProgramImage {
    let mut image = image(reference, &[path]);
    image.programs.insert(path.into(), Program::Builtin(program.into()));
    image
}

/// Envoy with the bootstrap of Seldon 2.9.1's image.
///
/// Hot restart needs shared memory that outlives the process, and worker threads are one per host core by default:
/// neither belongs into a pod of this cluster.
fn envoy(reference: String, programs: &Programs, pace: Pace) -> ProgramImage {
    let path = "/usr/local/bin/envoy";
    let mut image =
        image(reference, &[path, "-c", "/etc/envoy.yaml", "--disable-hot-restart", "--concurrency", "1"]);
    image.programs.insert(path.into(), Program::Host(programs.envoy.clone()));
    image.files.insert("/etc/envoy.yaml".into(), envoy_bootstrap(pace));
    image
}

/// The bootstrap. Its waits follow the pace: 60 s of silence before the scheduler is asked whether it still hears; 15 s for a
/// first answer, 5 s between look-ups, 0.5 s to 30 s between connection attempts, which are Envoy's defaults, written out so
/// that they can shrink.
fn envoy_bootstrap(pace: Pace) -> String {
    let seconds = |real: Duration| format!("{:.3}s", pace.wait(real).as_secs_f64());
    include_str!("images/envoy.yaml")
        .replace("${KEEPALIVE}", &seconds(Duration::from_secs(60)))
        .replace("${FIRST_ANSWER}", &seconds(Duration::from_secs(15)))
        .replace("${DNS_REFRESH}", &seconds(Duration::from_secs(5)))
        .replace("${RETRY_BASE}", &seconds(Duration::from_millis(500)))
        .replace("${RETRY_MAXIMUM}", &seconds(Duration::from_secs(30)))
}

fn rclone(reference: String, programs: &Programs) -> ProgramImage {
    let command = ["rclone", "rcd", "--rc-no-auth", "--config=/rclone/rclone.conf", "--rc-addr=0.0.0.0:5572"];
    let mut image = image(reference, &command);
    image.programs.insert("rclone".into(), Program::Host(programs.rclone.clone()));
    image.files.insert("/rclone/rclone.conf".into(), String::new());
    image
}

/// MLServer without worker processes: one process serves as well, starts sooner and takes half the memory.
fn mlserver(programs: &Programs) -> ProgramImage {
    let mut image =
        image(format!("{OWN}mlserver:1.7.1"), &["/bin/sh", "-c", "exec mlserver start $MLSERVER_MODELS_DIR"]);
    let launcher =
        programs.mlserver.parent().map(|directory| directory.display().to_string()).unwrap_or_default();
    let environment: BTreeMap<&str, String> = BTreeMap::from([
        ("PYTHONPATH", programs.mlserver_packages.display().to_string()),
        ("PYTHONDONTWRITEBYTECODE", "1".into()),
        ("PATH", format!("{launcher}:/usr/local/bin:/usr/bin:/bin")),
        ("MLSERVER_PARALLEL_WORKERS", "0".into()),
        // Numerical libraries start a thread per core and pool by default; one is enough for an iris.
        ("OMP_NUM_THREADS", "1".into()),
        ("OPENBLAS_NUM_THREADS", "1".into()),
    ]);
    let python = programs.python.clone();
    image.programs.insert("/bin/sh".into(), Program::Host("/bin/sh".into()));
    image.programs.insert(python.display().to_string(), Program::Host(python));
    image.trees = programs.python_library.clone();
    image.trees.push(programs.mlserver_packages.clone());
    image.env.extend(environment.into_iter().map(|(name, value)| (name.to_owned(), value)));
    image
}

/// An S3 server over the artefacts' directory, which containers see at its own path.
fn store(programs: &Programs) -> ProgramImage {
    let command = [
        "rclone",
        "serve",
        "s3",
        "--addr",
        ":9000",
        "--auth-key",
        "conformance,conformance-secret",
        "--no-checksum",
        "--vfs-cache-mode",
        "off",
        // None: the machine's own configuration is nobody's business here, and an ordinary user may not open it.
        "--config",
        "",
    ];
    let mut image = image(STORE.into(), &command);
    image.entrypoint.push(programs.artefacts.display().to_string());
    image.programs.insert("rclone".into(), Program::Host(programs.rclone.clone()));
    image.trees.push(programs.artefacts.clone());
    image
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn nowhere() -> Programs {
        let nowhere = || std::path::PathBuf::from("/nowhere");
        Programs {
            envoy: nowhere(),
            rclone: nowhere(),
            mlserver: nowhere(),
            mlserver_packages: nowhere(),
            python: nowhere(),
            python_library: Vec::new(),
            nft: nowhere(),
            artefacts: nowhere(),
            mountpoint: nowhere(),
        }
    }

    #[rstest]
    #[case::mlserver(ModelServer::MlServer, REFERENCES)]
    #[case::stand_in(ModelServer::StandIn, REFERENCES_WITHOUT_MLSERVER)]
    fn the_references_are_our_images(#[case] server: ModelServer, #[case] references: [&str; 8]) {
        let own = own(&nowhere(), Pace::FAST, server);
        let named: Vec<&str> = own.iter().map(|image| image.reference.as_str()).collect();
        assert_eq!(named, references);
        assert_eq!(needed(&SeldonSource::StandIn(server)), references);
    }

    #[test]
    fn without_mlserver_nothing_of_python_is_in_an_image() {
        let programs =
            Programs { python: "/python".into(), mlserver_packages: "/packages".into(), ..nowhere() };
        let python = |server| {
            let table = table(&programs, Pace::FAST, server);
            let images = table.iter().map(|image| format!("{image:?}"));
            images.filter(|image| image.contains("/packages") || image.contains("/python")).count()
        };
        assert_eq!(python(ModelServer::StandIn), 0);
        assert_eq!(python(ModelServer::MlServer), 2, "under either name");
    }

    #[test]
    fn what_charts_and_configurations_name_is_in_the_table_under_either_name() {
        let table = table(&nowhere(), Pace::FAST, ModelServer::MlServer);
        let has = |name: &str| table.iter().any(|image| image.reference == name);
        let seldons: Vec<&str> =
            table.iter().map(|image| image.reference.as_str()).filter(|name| !is_own(name)).collect();
        assert_eq!(seldons.len(), 6, "{seldons:?}");
        for name in seldons {
            assert!(has(&own_name(name).unwrap()), "{name}");
        }
    }

    #[test]
    fn the_bootstrap_follows_the_pace() {
        let (real, fast) = (envoy_bootstrap(Pace::REAL), envoy_bootstrap(Pace::FAST));
        assert!(real.contains("initial_fetch_timeout: 15.000s"), "{real}");
        assert!(real.contains("interval: 60.000s") && fast.contains("interval: 1.200s"), "{fast}");
        assert!(fast.contains("initial_fetch_timeout: 0.300s") && !fast.contains("${"), "{fast}");
    }
}
