//! Charts on disk, and the command lines for them.

use std::fs;
use std::path::Path;

use clusters::{Helm, HelmTarget};
use rstest::rstest;
use seldon_crds::defaults::controller::Reach;

use super::*;
use crate::patience::Patience;
use crate::seldon::ModelServer;
use crate::seldon::release::Installation;
use crate::seldon::uninstall::{Removal, uninstall_steps};
use crate::seldon::values::Layout;

fn charts(release: Option<Release>) -> Charts {
    Charts {
        helm: Helm::at("helm", "3.18.4"),
        release,
        directory: "/charts".into(),
        images: vec!["agent=docker.io/library/seldon-agent:mine".parse().unwrap()],
    }
}

fn target() -> HelmTarget {
    HelmTarget {
        kubeconfig: Some("/case/kubeconfig".into()),
        context: "case".into(),
        discovery: "/case/d".into(),
    }
}

fn layout(home: &str, tenant: &str, reach: Reach) -> Layout {
    Layout { home: home.into(), tenant: tenant.into(), reach }
}

/// What would be written and run, as a person would type it.
fn transcript(charts: &Charts, layout: &Layout, label: Option<&str>) -> String {
    let target = target();
    let how = Installation {
        target: &target,
        limit: Patience::default().mesh,
        directory: Path::new("/case"),
        arranger: Path::new("/bin/seldon-conformance"),
        label,
    };
    let plan = charts.plan(&Chart::ALL, layout, &how).unwrap();
    let mut text = String::new();
    for step in plan.steps {
        text += &format!("# {}\n{}$ {}\n\n", step.values.0.display(), step.values.1, step.command);
    }
    for step in uninstall_steps(charts, &Chart::ALL, layout, &target) {
        text += &match step {
            Removal::Objects { namespace } => format!("# Seldon's objects in {namespace}\n"),
            Removal::Release(command) => format!("$ {command}\n"),
        };
    }
    text
}

#[rstest]
#[case::one_namespace("one-namespace", layout("seldon-mesh", "seldon-mesh", Reach::OwnNamespace))]
#[case::whole_cluster("whole-cluster", layout("seldon-system", "financial-ml", Reach::Cluster))]
#[case::listed("listed-namespaces", layout("seldon-system", "financial-ml", Reach::Namespaces(vec!["financial-ml".into(), "team-b".into()])))]
fn every_layout_has_its_commands(#[case] name: &str, #[case] layout: Layout) {
    insta::assert_snapshot!(name, transcript(&charts(Some(Release::V2_9_1)), &layout, None));
}

#[test]
fn on_somebody_elses_cluster_everything_is_labelled() {
    let label = "seldon-conformance/run=0000002a";
    let listed = Reach::Namespaces(vec!["ml-1".into()]);
    let said = transcript(&charts(None), &layout("system-1", "ml-1", listed), Some(label));
    let commands: Vec<&str> = said.lines().filter(|line| line.starts_with("$ ")).collect();
    assert!(
        commands[..4].iter().all(|line| line.contains(
            "--post-renderer /bin/seldon-conformance --post-renderer-args builtin --post-renderer-args \
         arrange-manifests --post-renderer-args seldon-conformance/run=0000002a"
        )),
        "{said}"
    );
    assert!(commands[1].contains("/charts/seldon-core-v2-setup --namespace system-1"), "{said}");
}

#[test]
fn a_release_is_fetched_by_the_repositorys_address_and_version() {
    let release = locked(Release::V2_9_0).unwrap();
    let pull = pull(&release, &release.charts[1], &Helm::at("helm", "3.18.4"), Path::new("/c"));
    assert_eq!(
        pull.to_string(),
        "HELM_CACHE_HOME=/c/helm-home HELM_CONFIG_HOME=/c/helm-home HELM_DATA_HOME=/c/helm-home helm pull \
         seldon-core-v2-setup --repo https://seldonio.github.io/helm-charts --version 2.9.0 --destination /c"
    );
}

#[rstest]
#[case(Release::V2_9_0)]
#[case(Release::V2_9_1)]
fn the_releases_that_the_repository_has_are_pinned(#[case] release: Release) {
    let locked = locked(release).unwrap();
    let names: Vec<&str> = locked.charts.iter().map(|chart| chart.name.as_str()).collect();
    assert_eq!(names, Chart::ALL.map(Chart::name));
}

#[test]
fn a_mirror_has_every_chart_of_a_release_as_it_is_pinned() {
    let mirror = tempfile::tempdir().unwrap();
    let mut release = locked(Release::V2_9_1).unwrap();
    let place = clusters::mirror_of_charts(mirror.path());
    fs::create_dir(&place).unwrap();
    for index in 0..release.charts.len() {
        let error = mirrored(&release, mirror.path()).unwrap_err().to_string();
        let (name, command) = (release.archive(&release.charts[index].name), mirror.path().display());
        assert!(error.contains(&format!("there is no chart {}", place.join(&name).display())), "{error}");
        assert!(
            error.contains(&format!("`seldon-conformance mirror pull {command} --seldon 2.9.1`")),
            "{error}"
        );
        fs::write(place.join(&name), "words").unwrap();
        let error = mirrored(&release, mirror.path()).unwrap_err().to_string();
        assert!(
            error.contains(&format!("{name} has SHA-256 ")) && error.contains("nothing was installed"),
            "{error}"
        );
        release.charts[index].sha256 =
            Sha256::digest("words").iter().map(|byte| format!("{byte:02x}")).collect();
    }
    assert_eq!(mirrored(&release, mirror.path()).unwrap(), place);
}

#[test]
fn what_is_not_pinned_is_refused_before_anything_is_fetched() {
    let cache = Cache::at("/nowhere".into());
    let source = SeldonSource::Release(Release::V2_10_2);
    let nobody = clusters::Onlooker::patient(&|_| {});
    let error = Seldon::provide(&source, &[], None, &cache, &nobody).unwrap_err().to_string();
    assert_eq!(error, Seldon::rehearse(&source, &[], None, &cache).unwrap_err().to_string());
    assert!(error.contains("--branch v2.10.2") && error.contains("say --seldon charts:"), "{error}");
}

#[test]
fn a_directory_must_hold_all_four() {
    let directory = tempfile::tempdir().unwrap();
    for chart in Chart::ALL {
        let error = complete(directory.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("holds no chart {}; ", chart.name())), "{error}");
        let place = directory.path().join(chart.name());
        fs::create_dir(&place).unwrap();
        fs::write(place.join("Chart.yaml"), "name: x\n").unwrap();
    }
    assert_eq!(complete(directory.path()).unwrap(), directory.path());
}

#[test]
fn images_need_a_chart_to_stand_in() {
    let cache = Cache::at("/nowhere".into());
    let images = charts(None).images;
    let (standin, nobody) =
        (SeldonSource::StandIn(ModelServer::MlServer), clusters::Onlooker::patient(&|_| {}));
    let error = Seldon::provide(&standin, &images, None, &cache, &nobody).unwrap_err();
    assert!(error.to_string().contains("say which with --seldon"), "{error}");
    assert!(matches!(
        Seldon::provide(&standin, &[], None, &cache, &nobody),
        Ok(Seldon::StandIn(ModelServer::MlServer))
    ));
}
