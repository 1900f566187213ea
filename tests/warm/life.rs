//! A container that waits: it is taken once, tells the program nothing that a fresh one would not, is
//! replaced, and is removed whatever becomes of the service.

use std::process::Command;
use std::time::Duration;

use shuyu::sandbox::{End, Engine, PYTHON_IMAGE, ReadOnlyBind, RunSpec};
use tokio_util::sync::CancellationToken;

use super::lab::Lab;
use super::profile::{Kept, hold, nothing, until_waiting};

async fn fresh(lab: &Lab, spec: RunSpec) -> (End, String) {
    let outcome = lab.engine.run(spec, CancellationToken::new()).await.expect("held to its end");
    assert!(!outcome.waited);
    outcome.output.release().await.expect("released");
    (outcome.end, outcome.log.text())
}

async fn warm(lab: &Lab, spec: RunSpec) -> (End, String) {
    let outcome = hold(lab, spec, CancellationToken::new()).await.expect("held to its end");
    outcome.output.release().await.expect("released");
    (outcome.end, outcome.log.text())
}

/// What a run prints for which a container waits already.
async fn taken(lab: &Lab, spec: RunSpec) -> String {
    let outcome = lab.engine.run(spec, CancellationToken::new()).await.expect("held to its end");
    assert!(outcome.waited);
    outcome.output.release().await.expect("released");
    outcome.log.text()
}

/// What a program can easily ask about itself.
const ABOUT: &str = r#"
import os, pickle, resource, stat, threading
class Own: pass
assert type(pickle.loads(pickle.dumps(Own()))) is Own
def fds():
    return sorted(f"{n} {stat.S_IFMT(os.fstat(int(n)).st_mode):o}" for n in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{n}"))
def tree(at):
    return sorted(os.path.join(d, n) for d, ds, fs in os.walk(at) for n in ds + fs)
print(sys.argv, __name__, __file__, __doc__, __spec__, sys.path, os.getcwd(), sys.flags, sys.executable)
print(sorted(os.environ.items()), os.getuid(), os.getgroups(), os.umask(0), threading.current_thread().name)
print(fds()[:3], sys.stdin.read(), sys.stdin.isatty(), sys.warnoptions, sys.getrecursionlimit())
print([resource.getrlimit(getattr(resource, n)) for n in ("RLIMIT_NOFILE", "RLIMIT_FSIZE", "RLIMIT_CORE")])
print(tree("/app"), [os.access(p, os.W_OK) for p in ("/app", "/app/program", "/app/input", "/app/output")])
import atexit, subprocess
atexit.register(lambda: print("at the end", flush=True))
print(subprocess.run([sys.executable, "-c", "import sys; print(sys.argv, sys.path[0])"], capture_output=True, text=True).stdout)
sys.exit(7)
"#;

fn about(lab: &Lab, code: &str) -> RunSpec {
    let mut spec = lab.python(code);
    spec.command.extend(["one".to_owned(), "two words".to_owned(), "".to_owned()]);
    let input = lab.folder("input", &[("table.csv", "a,b\n1,2\n")]);
    spec.binds.push(ReadOnlyBind { host: input, container: "/app/input".to_owned() });
    spec
}

#[tokio::test]
async fn a_program_cannot_easily_tell_that_the_container_waited() {
    let lab = Lab::new().await;
    let expected = fresh(&lab, about(&lab, ABOUT)).await;
    assert_eq!(expected.0, End::Exited(7), "{}", expected.1);
    let seen = warm(&lab, about(&lab, ABOUT)).await;
    assert_eq!(seen, expected);
    lab.finish().await;
}

#[tokio::test]
async fn errors_are_told_as_by_a_fresh_interpreter() {
    for code in [
        "def f():\n    raise ValueError('no')\nf()",
        "try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise RuntimeError('again') from e",
        "import sys\nsys.excepthook = lambda *a: print('own hook', a[0].__name__)\nraise KeyError(1)",
        "import sys\nsys.exit('a word')",
        "def broken(:\n    pass",
        "raise SystemExit(300)",
        "import os\nos._exit(3)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGSEGV)",
    ] {
        let lab = Lab::new().await;
        let expected = fresh(&lab, lab.python(code)).await;
        let seen = warm(&lab, lab.python(code)).await;
        assert_eq!(seen, expected, "{code}");
        lab.finish().await;
    }
}

#[tokio::test]
async fn a_module_of_the_programs_own_is_taken_before_ours() {
    let lab = Lab::new().await;
    let mut spec = lab.python("import numpy, sys\nprint(numpy.__file__, 'pandas' in sys.modules)");
    let program = lab.folder("program", &[("numpy.py", "")]);
    spec.binds[0].host = program;
    let (end, printed) = warm(&lab, spec).await;
    assert_eq!((end, printed.trim()), (End::Exited(0), "/app/program/numpy.py False"));
    lab.finish().await;
}

/// A run that finds these files among its packages.
fn with_packages(lab: &Lab, code: &str, files: &[(&str, &str)]) -> RunSpec {
    let mut spec = about(lab, code);
    let packages = lab.folder(&format!("packages-{}", files[0].0), files);
    spec.binds.push(ReadOnlyBind { host: packages, container: "/app/packages".to_owned() });
    spec
}

#[tokio::test]
async fn packages_are_found_at_the_place_in_the_path_that_they_have_elsewhere() {
    let lab = Lab::new().await;
    let code = format!("import sys, thing, numpy\nprint(thing.__file__, numpy.__file__)\n{ABOUT}");
    let files = [("thing.py", ""), ("numpy.py", "")];
    let expected = fresh(&lab, with_packages(&lab, &code, &files)).await;
    assert_eq!(expected.0, End::Exited(7), "{}", expected.1);
    assert!(expected.1.starts_with("/app/packages/thing.py /usr/local/lib/"), "{}", expected.1);
    let seen = warm(&lab, with_packages(&lab, &code, &files)).await;
    assert_eq!(seen, expected);
    lab.finish().await;
}

#[tokio::test]
async fn what_would_have_used_a_package_when_it_was_loaded_has_it() {
    let lab = Lab::new().await;
    let code = "import sys, pandas\nprint('bottleneck' in sys.modules)";
    let optional = [("bottleneck.py", "__version__ = '99.0'")];
    let expected = fresh(&lab, with_packages(&lab, code, &optional)).await;
    assert_eq!((expected.0, expected.1.trim()), (End::Exited(0), "True"));
    let seen = warm(&lab, with_packages(&lab, code, &optional)).await;
    assert_eq!(seen, expected);
    let (end, printed) = warm(
        &lab,
        with_packages(&lab, "import thing, sys\nprint('pandas' in sys.modules)", &[("thing.py", "")]),
    )
    .await;
    assert_eq!((end, printed.trim()), (End::Exited(0), "True"), "with others its imports are done");
    lab.finish().await;
}

#[tokio::test]
async fn imports_are_done_and_other_programs_take_its_place() {
    let lab = Lab::new().await;
    let (end, printed) = warm(&lab, lab.python("print('sklearn.ensemble' in sys.modules)")).await;
    assert_eq!((end, printed.trim()), (End::Exited(0), "True"));
    let (end, printed) =
        warm(&lab, lab.command(&["sh", "-c", "echo $0 $1; ls /app; exit 5", "a", "b"])).await;
    assert_eq!((end, printed.as_str()), (End::Exited(5), "a b\noutput\n"));
    let (end, printed) = warm(&lab, lab.command(&["no-such-program"])).await;
    assert_eq!(end, End::Exited(127), "{printed}");
    lab.finish().await;
}

#[tokio::test]
async fn one_is_taken_once_and_another_put_in_its_place() {
    let lab = Lab::new().await;
    let kept = Kept::start(&lab.engine, 1);
    let id = "print(open('/proc/sys/kernel/random/uuid').read(), sorted(__import__('os').listdir('/tmp')))";
    let leave = "open('/tmp/left', 'w').write('x'); open('/dev/shm/left', 'w').write('x')";
    fresh(&lab, lab.python("")).await;
    for _ in 0..3 {
        until_waiting(&lab.engine, 1).await;
        let ran = taken(&lab, lab.python(&format!("{id}\n{leave}"))).await;
        assert!(ran.trim_end().ends_with(" []"), "{ran}");
    }
    // another kind: one of each cannot wait, the latest does
    until_waiting(&lab.engine, 1).await;
    let mut other = lab.python("");
    other.resources.pids = 32;
    fresh(&lab, other).await;
    until_waiting(&lab.engine, 1).await;
    let mut other = lab.python("");
    other.resources.pids = 32;
    let waited = async {
        loop {
            let spec = nothing(&lab, &other);
            let outcome = lab.engine.run(spec, CancellationToken::new()).await.expect("held");
            outcome.output.release().await.expect("released");
            if outcome.waited {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waited).await.expect("one of the latest kind waits");
    kept.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn one_that_was_killed_is_replaced_and_costs_no_run() {
    let lab = Lab::new().await;
    let kept = Kept::start(&lab.engine, 1);
    fresh(&lab, lab.python("")).await;
    until_waiting(&lab.engine, 1).await;
    for container in lab.containers() {
        assert!(Command::new("docker").args(["kill", &container]).output().expect("docker").status.success());
    }
    let outcome = lab.engine.run(lab.python("print('here')"), CancellationToken::new()).await.expect("held");
    assert_eq!((outcome.end, outcome.log.text().as_str()), (End::Exited(0), "here\n"));
    outcome.output.release().await.expect("released");
    kept.stop().await;
    lab.finish().await;
}

fn docker(words: &[&str]) -> String {
    let done = Command::new("docker").args(words).output().expect("docker");
    assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).expect("text").trim().to_owned()
}

#[tokio::test]
async fn one_of_an_image_that_was_built_anew_is_not_taken() {
    let lab = Lab::new().await;
    let image = format!("shuyu/{}:latest", lab.settings.instance);
    docker(&["tag", PYTHON_IMAGE, &image]);
    let kept = Kept::start(&lab.engine, 1);
    let spec = || RunSpec { image: image.clone(), ..lab.python("print('here')") };
    fresh(&lab, spec()).await;
    until_waiting(&lab.engine, 1).await;
    taken(&lab, spec()).await;
    until_waiting(&lab.engine, 1).await;
    // another build under the same name
    let made = docker(&["create", PYTHON_IMAGE, "true"]);
    docker(&["commit", &made, &image]);
    docker(&["rm", &made]);
    assert_eq!(fresh(&lab, spec()).await, (End::Exited(0), "here\n".to_owned()));
    kept.stop().await;
    lab.engine.settle().await;
    docker(&["rmi", &image]);
    lab.finish().await;
}

#[tokio::test]
async fn what_a_crash_leaves_is_reaped_and_what_waits_is_not() {
    let lab = Lab::new().await;
    let kept = Kept::start(&lab.engine, 1);
    fresh(&lab, lab.python("")).await;
    until_waiting(&lab.engine, 1).await;
    lab.engine.settle().await;
    assert!(lab.engine.reap(|_| false).await.expect("the engine is there").is_nothing());
    assert_eq!(lab.engine.waiting_warm(), 1);
    // a service that starts anew knows nothing of it
    let again = Engine::connect(lab.settings.clone()).await.expect("the engine is there");
    let reaped = again.reap(|_| false).await.expect("the engine is there");
    assert_eq!(reaped.containers, 1, "{reaped:?}");
    assert!(reaped.mounts >= 1, "{reaped:?}");
    assert_eq!(lab.mounts(), Vec::<String>::new());
    kept.stop().await;
    lab.finish().await;
}

#[tokio::test]
async fn processor_time_before_the_run_is_not_the_runs() {
    let lab = Lab::new().await;
    let outcome = hold(&lab, lab.command(&["true"]), CancellationToken::new()).await.expect("held");
    // loading what it loads takes more than half a second of a processor
    assert!(outcome.cpu.is_none_or(|cpu| cpu < Duration::from_millis(400)), "{:?}", outcome.cpu);
    outcome.output.release().await.expect("released");
    lab.finish().await;
}
