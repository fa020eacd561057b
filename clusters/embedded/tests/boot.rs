//! Whole clusters through the crate's front door. The executable is also every program inside, hence its own `main`.

#[path = "boot/jobs.rs"]
mod jobs;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use embedded::{ClusterSpec, HostPorts, Profile, ProgramImage, SupervisedCluster, UpstreamMode};
use k8s_openapi::api::core::v1::Service;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use libtest_mimic::{Arguments, Failed, Trial};
use pace::Pace;

fn main() -> ExitCode {
    if let Some(code) = embedded::intercept(&[]) {
        return code;
    }
    let arguments = Arguments::from_args();
    let missing = what_is_missing();
    if let Some(reason) = &missing {
        eprintln!("boot tests skipped: {reason}");
        if std::env::var("CONFORMANCE_REQUIRE").unwrap_or_default().split(',').any(|need| need == "kernel") {
            return ExitCode::FAILURE;
        }
    }
    let trial = |name: &str, run: fn() -> Result<(), Failed>| {
        Trial::test(name, run).with_ignored_flag(missing.is_some())
    };
    let trials = vec![
        trial("flannel_answers_resolves_and_ends", || block_on(answers_resolves_and_ends(Profile::Flannel))),
        trial("calico_answers_resolves_and_ends", || block_on(answers_resolves_and_ends(Profile::Calico))),
        trial("a_dropped_cluster_is_gone", || block_on(a_dropped_cluster_is_gone())),
        trial("a_missing_program_is_named", || block_on(a_missing_program_is_named())),
        trial("a_pod_that_cannot_start_is_named", || block_on(a_pod_that_cannot_start_is_named())),
        trial("a_covered_proc_is_named_before_anything_starts", a_covered_proc_is_named),
        trial("jobs_run_to_their_end", || block_on(jobs::run_to_their_end())),
        trial("an_address_in_use_is_named", || block_on(an_address_in_use_is_named())),
    ];
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn what_is_missing() -> Option<String> {
    nft().is_none().then(|| "there is no nft".to_owned()).or_else(|| embedded::try_namespaces().err())
}

fn nft() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    places.map(|place| place.join("nft")).find(|nft| nft.is_file())
}

fn block_on(test: impl Future<Output = anyhow::Result<()>>) -> Result<(), Failed> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(test)?)
}

fn spec(profile: Profile, mountpoint: &Path) -> ClusterSpec {
    ClusterSpec {
        name: "test".into(),
        profile,
        pace: Pace::FAST,
        images: Vec::new(),
        nft: nft().unwrap_or_default(),
        mountpoint: mountpoint.into(),
        host_address: Ipv4Addr::LOCALHOST,
        api_port: 0,
        host_ports: HostPorts::Closed,
        upstream: UpstreamMode::honest(),
    }
}

async fn client(cluster: &SupervisedCluster) -> anyhow::Result<Client> {
    use base64::Engine;
    let access = cluster.access();
    let authority = base64::engine::general_purpose::STANDARD.encode(&access.ca_pem);
    let document = format!(
        "{{current-context: c, clusters: [{{name: c, cluster: {{server: '{}', certificate-authority-data: {authority}}}}}], \
         contexts: [{{name: c, context: {{cluster: c, user: c}}}}], users: [{{name: c, user: {{token: {}}}}}]}}",
        access.server, access.token
    );
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(Kubeconfig::from_yaml(&document)?, &options).await?;
    Ok(Client::try_from(config)?)
}

async fn answers_resolves_and_ends(profile: Profile) -> anyhow::Result<()> {
    let mountpoint = tempfile::tempdir()?;
    let cluster = SupervisedCluster::start_embedded(&spec(profile, mountpoint.path()), None).await?;
    let services: Api<Service> = Api::namespaced(client(&cluster).await?, "default");
    let address = services.get("kubernetes").await?.spec.and_then(|spec| spec.cluster_ip);
    anyhow::ensure!(address.as_deref() == Some("10.43.0.1"), "{address:?}");
    cluster.set_upstream(UpstreamMode::Hijack(Ipv4Addr::new(143, 244, 220, 150))).await?;
    anyhow::ensure!(cluster.upstream_questions().await?.is_empty(), "nobody has asked the outside yet");
    let pid = cluster.pid();
    cluster.stop().await?;
    anyhow::ensure!(!Path::new(&format!("/proc/{pid}")).exists(), "the supervisor is still there");
    anyhow::ensure!(
        std::fs::read_dir(mountpoint.path())?.next().is_none(),
        "something was left in the mount point"
    );
    Ok(())
}

async fn a_dropped_cluster_is_gone() -> anyhow::Result<()> {
    let mountpoint = tempfile::tempdir()?;
    let cluster = SupervisedCluster::start_embedded(&spec(Profile::Flannel, mountpoint.path()), None).await?;
    let (pid, server) = (cluster.pid(), cluster.access().server.clone());
    drop(cluster);
    anyhow::ensure!(!Path::new(&format!("/proc/{pid}")).exists(), "the supervisor is still there");
    // What it held open closes with its last process, which the kernel ends after the supervisor's first one.
    let address = server.trim_start_matches("https://").to_owned();
    let began = Instant::now();
    while tokio::net::TcpStream::connect(&address).await.is_ok() {
        anyhow::ensure!(began.elapsed().as_secs() < 5, "the API server still answers");
        tokio::task::yield_now().await;
    }
    Ok(())
}

async fn a_missing_program_is_named() -> anyhow::Result<()> {
    let mountpoint = tempfile::tempdir()?;
    let wrong = ClusterSpec { nft: "/nowhere/nft".into(), ..spec(Profile::Flannel, mountpoint.path()) };
    match SupervisedCluster::start_embedded(&wrong, None).await {
        Ok(_) => anyhow::bail!("a cluster without packet rules came up"),
        Err(error) => anyhow::ensure!(error.to_string().contains("/nowhere/nft"), "{error}"),
    }
    Ok(())
}

async fn a_pod_that_cannot_start_is_named() -> anyhow::Result<()> {
    let mountpoint = tempfile::tempdir()?;
    let broken = ProgramImage { trees: vec![PathBuf::from("/nowhere/packages")], ..ProgramImage::default() };
    let wrong = ClusterSpec { images: vec![broken], ..spec(Profile::Flannel, mountpoint.path()) };
    match SupervisedCluster::start_embedded(&wrong, None).await {
        Ok(_) => anyhow::bail!("a cluster came up whose containers cannot be mounted"),
        Err(error) => {
            let text = error.to_string();
            for part in ["pod kube-system/coredns-", "container coredns", "StartError", "/nowhere/packages"] {
                anyhow::ensure!(text.contains(part), "no {part} in: {text}");
            }
        }
    }
    Ok(())
}

/// The namespaces' check where `/proc` is covered in part, as Docker covers it.
fn a_covered_proc_is_named() -> Result<(), Failed> {
    let own = std::env::current_exe()?;
    let script = "mount -t tmpfs tmpfs /proc/sys && exec \"$0\" builtin namespace-check";
    let output = std::process::Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script])
        .arg(own)
        .output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    if output.status.success() || !said.contains("systempaths=unconfined") {
        return Err(format!("{}: {said}{}", output.status, String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(())
}

async fn an_address_in_use_is_named() -> anyhow::Result<()> {
    let mountpoint = tempfile::tempdir()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let api_port = taken.local_addr()?.port();
    let wrong = ClusterSpec { api_port, ..spec(Profile::Flannel, mountpoint.path()) };
    match SupervisedCluster::start_embedded(&wrong, None).await {
        Ok(_) => anyhow::bail!("two listeners share a port"),
        Err(error) => {
            let text = error.to_string();
            anyhow::ensure!(text.contains(&api_port.to_string()) && text.contains("name another"), "{text}");
        }
    }
    Ok(())
}
