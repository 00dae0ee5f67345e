//! The page on what a run costs holds what the benchmarks found.

#[path = "../bench/goals.rs"]
mod goals;
#[path = "../bench/page.rs"]
mod page;
#[path = "../bench/plot.rs"]
mod plot;
#[path = "../bench/report.rs"]
mod report;

#[test]
fn the_page_shows_the_figures_that_were_checked_in() {
    let reports = page::checked_in();
    let text = page::read("performance.md");
    assert!(text == page::rendered(&text, &reports), "docs/performance.md is out of date: make bench BENCH=page");
    assert!(
        page::read("performance.svg") == page::plotted(&reports),
        "docs/performance.svg is out of date: make bench BENCH=page"
    );
    for report in reports {
        let marker = format!("<!-- bench {} -->\n", report.bench);
        assert_eq!(text.matches(&marker).count(), 1, "the page shows {} once", report.bench);
    }
}
