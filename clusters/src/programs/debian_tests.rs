//! A package archive on this machine's disk, made of packages that are made here; needs Debian's `apt-get` and `dpkg-deb`.

use super::*;
use rstest::rstest;
use sha2::{Digest, Sha256};

fn patient() -> Onlooker<'static> {
    Onlooker::patient(&|_| {})
}

fn pins(packages: Vec<DebianPackage>) -> DebianPrograms {
    DebianPrograms {
        version: "1".into(),
        main: "usr/sbin/nft".into(),
        libraries: "usr/lib/here".into(),
        release: "bookworm".into(),
        architecture: "all".into(),
        packages,
    }
}

#[rstest]
#[case::the_same("NAME=\"Debian\"\nVERSION_CODENAME=bookworm\n", "all", true)]
#[case::a_later_release("VERSION_CODENAME=trixie\n", "all", false)]
#[case::a_longer_name("VERSION_CODENAME=bookworms\n", "all", false)]
#[case::other_machine("VERSION_CODENAME=bookworm\n", "arm64", false)]
#[case::no_debian("", "", false)]
fn packages_fit_one_release_and_architecture(
    #[case] os_release: &str,
    #[case] architecture: &str,
    #[case] fits: bool,
) {
    let answer = fit(&pins(Vec::new()), os_release, architecture);
    assert_eq!(answer.is_ok(), fits, "{answer:?}");
}

#[test]
fn what_apt_runs_on_the_machine_is_left_out() {
    let machine = "Acquire::http::Proxy \"http://p:1\";\nAPT::Update::Post-Invoke \"\";\n\
                   APT::Update::Post-Invoke:: \"rm /var/cache\";\nAPT::Update::Pre-Invoke:: \"x\";\n";
    assert_eq!(without_hooks(machine), "Acquire::http::Proxy \"http://p:1\";\n");
}

/// An archive with one package, whose `nft` prints its library path, its arguments, and its standard input.
struct Archive {
    directory: tempfile::TempDir,
    package: DebianPackage,
}

impl Archive {
    fn make() -> Archive {
        let directory = tempfile::tempdir().unwrap();
        let (root, place) = (directory.path().join("root"), directory.path().join("archive"));
        for below in ["DEBIAN", "usr/sbin", "usr/lib/here"] {
            fs::create_dir_all(root.join(below)).unwrap();
        }
        fs::create_dir_all(&place).unwrap();
        let control =
            "Package: fake-nft\nVersion: 2:1.0-1\nArchitecture: all\nMaintainer: nobody\nDescription: none\n";
        fs::write(root.join("DEBIAN/control"), control).unwrap();
        let program = root.join("usr/sbin/nft");
        fs::write(&program, "#!/bin/sh\necho \"nftables v9 $LD_LIBRARY_PATH $*\"\n").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let file = place.join("fake.deb");
        Command::new("dpkg-deb").args(["--root-owner-group", "-b"]).arg(&root).arg(&file).run().unwrap();
        let bytes = fs::read(&file).unwrap();
        let sha256 = hex::encode(Sha256::digest(&bytes));
        let index = format!("{control}Filename: ./fake.deb\nSize: {}\nSHA256: {sha256}\n", bytes.len());
        fs::write(place.join("Packages"), index).unwrap();
        let sources = format!("deb [trusted=yes] copy:{} ./\n", place.display());
        fs::write(directory.path().join("sources.list"), sources).unwrap();
        let package = DebianPackage { name: "fake-nft".into(), version: "2:1.0-1".into(), sha256 };
        Archive { directory, package }
    }

    fn unpack(&self, package: DebianPackage) -> (PathBuf, Result<(), DebianError>) {
        let place = self.directory.path().join("a cache");
        let configuration = format!(
            "Dir::Etc::sourcelist \"{}\";\nDir::Etc::sourceparts \"/dev/null\";\n",
            self.directory.path().join("sources.list").display()
        );
        let pins = pins(vec![package]);
        let result = unpack("nft", &pins, &configuration, &place, &patient())
            .and_then(|()| launch_nft(&pins, &place, &patient()));
        (place, result)
    }
}

#[test]
fn a_package_is_fetched_checked_unpacked_and_run_with_its_own_libraries() {
    let archive = Archive::make();
    let (place, result) = archive.unpack(archive.package.clone());
    result.unwrap();
    let said = Command::new(place.join(LAUNCHER).to_string_lossy()).args(["-f", "-"]).run().unwrap().stdout;
    assert_eq!(said, format!("nftables v9 {}/usr/lib/here -f -\n", place.display()));
    assert!(!place.join("downloads").exists());
}

#[test]
fn another_package_than_the_pinned_one_is_not_unpacked() {
    let archive = Archive::make();
    let (place, result) = archive.unpack(DebianPackage { sha256: "0".repeat(64), ..archive.package.clone() });
    let error = result.unwrap_err().to_string();
    assert!(error.starts_with("fake-nft_2%3a1.0-1_all.deb has SHA-256"), "{error}");
    assert!(!place.join("usr").exists());
}

#[test]
fn a_version_that_the_archive_no_longer_has_is_named_with_the_remedy() {
    let archive = Archive::make();
    let (_, result) = archive.unpack(DebianPackage { version: "3".into(), ..archive.package.clone() });
    let error = super::super::nft_error(result.unwrap_err()).to_string();
    assert!(error.contains("'3' for 'fake-nft' was not found"), "{error}");
    assert!(error.ends_with("install it: `apt-get install nftables`"), "{error}");
}

/// The pinned packages themselves: their `nft` loads rules in a user and network namespace.
#[test]
#[ignore = "fetches ten megabytes of Debian's indexes; run it when a pin moves"]
fn debians_own_package_loads_rules() {
    let lock = super::super::lock::Lock::read().unwrap();
    let place = tempfile::tempdir().unwrap();
    provide("nft", &lock.nft, place.path(), &patient()).unwrap();
    launch_nft(&lock.nft, place.path(), &patient()).unwrap();
    let rules = place.path().join("rules");
    fs::write(
        &rules,
        "table ip t {\n chain c {\n  type filter hook input priority 0\n  tcp dport 1 reject\n }\n}\n",
    )
    .unwrap();
    let script = "\"$1\" -f \"$2\" && \"$1\" list ruleset";
    let listed = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", script, "sh"])
        .arg(place.path().join(LAUNCHER))
        .arg(rules)
        .run()
        .unwrap();
    assert!(listed.stdout.contains("tcp dport 1 reject"), "{}", listed.stdout);
}
