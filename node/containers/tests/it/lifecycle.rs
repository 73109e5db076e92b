//! A pod from its sandbox to its removal.

use std::time::{Duration, Instant};

use minicloud_agent::runtime::{
    ContainerState, PodChange, PodRuntime, RuntimeError, SecurityContext, StreamIo, StreamRequest,
};
use minicloud_containers::config::ImageCollection;

use crate::site::{Site, eventually, exit_of, launch, observed, read, run, script, shell};

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_runs_and_goes() {
    let site = Site::new();
    let runtime = site.start_with_image().await;
    let mut changes = runtime.changes();

    let status = runtime.status().await.unwrap();
    assert_eq!(
        (status.name.as_str(), status.runtime_problem),
        ("containerd", None)
    );
    eventually("the network is ready", || async {
        runtime
            .status()
            .await
            .unwrap()
            .network_problem
            .is_none()
            .then_some(())
    })
    .await;

    let sandbox = site.sandbox("web");
    let sandbox_id = runtime.run_sandbox(&sandbox).await.unwrap();
    let pod = runtime.pod(&sandbox.uid).await.unwrap().unwrap();
    assert_eq!((pod.name.as_str(), pod.namespace.as_str()), ("web", "test"));
    assert!(pod.sandboxes[0].ready);
    assert!(
        pod.sandboxes[0].ips[0].starts_with("10.99.0."),
        "{:?}",
        pod.sandboxes[0].ips
    );
    assert_eq!(
        (&pod.sandboxes[0].labels, &pod.sandboxes[0].annotations),
        (&sandbox.labels, &sandbox.annotations)
    );

    // Runs, speaks, and is seen.
    let text = "echo out; echo err >&2; trap 'exit 3' TERM; while :; do sleep 1 & wait $!; done";
    let mut app = script(&runtime, &sandbox, "app", text).await;
    app.env = vec![("GREETING".into(), "good day".into())];
    let id = launch(&runtime, &sandbox_id, &sandbox, &app).await;
    let seen = observed(&runtime, &sandbox, &id).await;
    assert!(
        matches!(seen.state, ContainerState::Running { .. }),
        "{:?}",
        seen.state
    );
    assert_eq!(
        (seen.name.as_str(), seen.image.as_str()),
        ("app", app.image.as_str())
    );
    assert_eq!(
        (&seen.labels, &seen.annotations),
        (&app.labels, &app.annotations)
    );
    assert_eq!(seen.log_path, sandbox.log_directory.join("app/0.log"));
    let log = eventually("the log is written", || async {
        let log = read(&seen.log_path);
        (log.lines().count() == 2).then_some(log)
    })
    .await;
    assert!(
        log.contains(" stdout F out\n") && log.contains(" stderr F err\n"),
        "{log}"
    );

    // Commands.
    assert_eq!(
        shell(&runtime, &id, "echo $GREETING; hostname").await,
        "good day\nweb"
    );
    // The process namespace is the container's own: its shell is process 1.
    assert!(
        shell(&runtime, &id, "cat /proc/1/cmdline")
            .await
            .contains("echo out")
    );
    let command = ["/bin/sh", "-c", "exit 7"].map(String::from);
    assert_eq!(
        runtime
            .exec_sync(&id, &command, Duration::from_secs(5))
            .await
            .unwrap()
            .exit_code,
        7
    );
    let command = ["/bin/sleep", "30"].map(String::from);
    let error = runtime
        .exec_sync(&id, &command, Duration::from_secs(1))
        .await
        .unwrap_err();
    assert!(matches!(error, RuntimeError::Timeout(_)), "{error:?}");
    let error = runtime
        .exec_sync("nothing", &command, Duration::from_secs(1))
        .await
        .unwrap_err();
    assert!(matches!(error, RuntimeError::NotFound(_)), "{error:?}");

    // Streams.
    let io = StreamIo {
        stdin: true,
        stdout: true,
        stderr: false,
        tty: true,
    };
    for stream in [
        StreamRequest::Exec {
            container_id: id.clone(),
            command: vec!["sh".into()],
            io,
        },
        StreamRequest::Attach {
            container_id: id.clone(),
            io: StreamIo {
                tty: false,
                stdin: false,
                ..io
            },
        },
        StreamRequest::PortForward {
            sandbox_id: sandbox_id.clone(),
            ports: vec![],
        },
    ] {
        let url = runtime.stream_url(&stream).await.unwrap();
        assert!(url.starts_with("http://127.0.0.1:"), "{stream:?}: {url}");
    }

    // Measurements.
    let stats = runtime.stats().await.unwrap();
    assert_eq!((stats.len(), stats[0].name.as_str()), (1, "web"));
    assert_eq!(stats[0].containers[0].name, "app");
    assert!(
        stats[0].containers[0].memory_working_set_bytes > Some(0),
        "{stats:?}"
    );

    // Logs are rotated while it runs.
    let chatty = script(
        &runtime,
        &sandbox,
        "chatty",
        "while :; do echo 0123456789 0123456789; sleep 0.01; done",
    )
    .await;
    let chatty_id = launch(&runtime, &sandbox_id, &sandbox, &chatty).await;
    let chatty_log = observed(&runtime, &sandbox, &chatty_id).await.log_path;
    eventually("a log is rotated", || async {
        let files = std::fs::read_dir(chatty_log.parent().unwrap())
            .unwrap()
            .count();
        (files > 1 && chatty_log.metadata().is_ok_and(|file| file.len() > 0)).then_some(())
    })
    .await;
    runtime
        .stop_container(&chatty_id, Duration::ZERO)
        .await
        .unwrap();
    runtime.remove_container(&chatty_id).await.unwrap();
    assert!(!chatty_log.parent().unwrap().exists());

    // An exit that nobody asked for is told.
    while changes.try_recv().is_ok() {}
    let brief = script(&runtime, &sandbox, "brief", "exit 5").await;
    let started = Instant::now();
    let brief_id = launch(&runtime, &sandbox_id, &sandbox, &brief).await;
    let change = tokio::time::timeout(Duration::from_secs(5), changes.recv())
        .await
        .unwrap()
        .unwrap();
    println!("start to notice of the exit: {:?}", started.elapsed());
    assert_eq!(change, PodChange::Pod(sandbox.uid.clone()));
    assert_eq!(
        exit_of(&runtime, &sandbox, &brief_id).await,
        (5, "Error".into())
    );
    // The list, which answers from what is known, agrees.
    let listed = runtime.list_pods().await.unwrap();
    let listed = listed[0]
        .containers
        .iter()
        .find(|container| container.id == brief_id)
        .unwrap();
    assert!(
        matches!(listed.state, ContainerState::Exited { exit_code: 5, .. }),
        "{:?}",
        listed.state
    );

    // Stopping: its own handler, within the grace; a grace that is too short; a second call that cuts the first short.
    let started = Instant::now();
    runtime
        .stop_container(&id, Duration::from_secs(20))
        .await
        .unwrap();
    assert!(started.elapsed() < Duration::from_secs(10));
    assert_eq!(exit_of(&runtime, &sandbox, &id).await, (3, "Error".into()));
    let stubborn = script(
        &runtime,
        &sandbox,
        "stubborn",
        "trap '' TERM; while :; do sleep 1; done",
    )
    .await;
    let stubborn_id = launch(&runtime, &sandbox_id, &sandbox, &stubborn).await;
    let started = Instant::now();
    let (first, second) = tokio::join!(
        runtime.stop_container(&stubborn_id, Duration::from_secs(60)),
        async {
            tokio::time::sleep(Duration::from_millis(300)).await;
            runtime
                .stop_container(&stubborn_id, Duration::from_secs(1))
                .await
        }
    );
    first.unwrap();
    second.unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(10),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(exit_of(&runtime, &sandbox, &stubborn_id).await.0, 137);

    // A stop signal of the pod's own choice.
    let mut special = script(
        &runtime,
        &sandbox,
        "special",
        "trap 'exit 9' USR1; while :; do sleep 0.1; done",
    )
    .await;
    special.stop_signal = Some("SIGUSR1".into());
    let special_id = launch(&runtime, &sandbox_id, &sandbox, &special).await;
    runtime
        .stop_container(&special_id, Duration::from_secs(20))
        .await
        .unwrap();
    assert_eq!(exit_of(&runtime, &sandbox, &special_id).await.0, 9);

    // Identity.
    let mut other = script(&runtime, &sandbox, "other", "while :; do sleep 1; done").await;
    other.security = SecurityContext {
        run_as_group: Some(2000),
        run_as_user: Some(1000),
        supplemental_groups: vec![3000],
        read_only_root: true,
        no_new_privileges: true,
        drop_capabilities: vec!["ALL".into()],
        ..Default::default()
    };
    let other_id = launch(&runtime, &sandbox_id, &sandbox, &other).await;
    let identity = shell(
        &runtime,
        &other_id,
        "id; touch /x 2>&1; grep -E 'CapEff|NoNewPrivs' /proc/self/status || true",
    )
    .await;
    assert!(
        identity.starts_with("uid=1000(app) gid=2000 groups=2000,3000"),
        "{identity}"
    );
    runtime
        .stop_container(&other_id, Duration::ZERO)
        .await
        .unwrap();

    // Everything goes, and repeating is harmless.
    for _ in 0..2 {
        runtime.stop_sandbox(&sandbox_id).await.unwrap();
    }
    for _ in 0..2 {
        runtime.remove_sandbox(&sandbox_id).await.unwrap();
        runtime.remove_container(&id).await.unwrap();
        runtime
            .stop_container(&id, Duration::from_secs(1))
            .await
            .unwrap();
    }
    assert_eq!(runtime.pod(&sandbox.uid).await.unwrap(), None);
    assert!(!sandbox.log_directory.exists());
    let cgroup = format!("/{}/burstable/pod{}", site.name, sandbox.uid);
    for root in runtime.cgroups().layout().roots() {
        assert!(
            !root.join(&cgroup[1..]).exists(),
            "{} {cgroup}",
            root.display()
        );
    }

    site.finish(runtime).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_come_and_go() {
    let mut site = Site::new();
    // The disk counts as full all the time: what came from an archive stays nevertheless.
    site.config.image_collection = ImageCollection {
        high_percent: 0,
        low_percent: 0,
        min_age: Duration::ZERO,
        interval: Duration::from_millis(100),
    };
    let runtime = site.start_with_image().await;
    let image = runtime.image(crate::site::IMAGE).await.unwrap().unwrap();
    assert_eq!(
        runtime.image(&image.id).await.unwrap().unwrap().id,
        image.id
    );
    assert_eq!(runtime.image("absent").await.unwrap(), None);
    let error = runtime.image("Not/An:Image").await.unwrap_err();
    assert!(
        matches!(error, RuntimeError::InvalidImageName(_)),
        "{error:?}"
    );

    // A short name is found as in Kubernetes, whoever made the archive: skopeo writes Docker's format here.
    let oci = site.dir.path().join("busybox.tar");
    let docker = site.dir.path().join("docker.tar");
    let target = format!("docker-archive:{}:short:2", docker.display());
    run(
        "skopeo",
        &[
            "copy",
            "--insecure-policy",
            &format!("oci-archive:{}", oci.display()),
            &target,
        ],
    );
    assert_eq!(
        runtime.import_image(&docker).await.unwrap(),
        ["docker.io/library/short:2"]
    );
    for name in ["short:2", "library/short:2", "docker.io/short:2"] {
        assert!(runtime.image(name).await.unwrap().is_some(), "{name}");
    }

    let error = runtime
        .import_image(&site.containerd().config_file())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("config.toml"), "{error}");

    // There is no such registry, and the message names the image.
    let error = runtime
        .pull_image("localhost:1/none:1", &[])
        .await
        .unwrap_err();
    assert!(error.to_string().contains("localhost:1/none:1"), "{error}");

    for image in runtime.list_images().await.unwrap() {
        if image.tags.iter().any(|tag| tag.contains("short")) {
            runtime.remove_image(&image.id).await.unwrap();
            runtime.remove_image(&image.id).await.unwrap();
        }
    }
    eventually("the image is gone", || async {
        runtime
            .image("short:2")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    site.finish(runtime).await;
}
