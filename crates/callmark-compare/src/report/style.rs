//! The page's style: readable at any width, in light and dark, and on paper.

/// Everything the page needs; nothing is fetched.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1c2430;--soft:#5b6675;--line:#d5dbe3;--page:#fff;--card:#f5f7fa;--ai:#0b62c4;\
--human:#b3540a;--third:#3a7d44;--alarm:#a3122a;--alarm-card:#fdeef0}\
@media(prefers-color-scheme:dark){:root{--ink:#e6eaf0;--soft:#a3aebd;--line:#38424f;--page:#12171e;--card:#1b222c;\
--ai:#6cb2ff;--human:#f0a35e;--third:#7fca8b;--alarm:#ff8b9b;--alarm-card:#33191f}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--page);color:var(--ink);font:17px/1.55 system-ui,sans-serif}\
main{max-width:60rem;margin:0 auto;padding:1.5rem 1rem 4rem}\
h1{font-size:1.7rem;line-height:1.25;margin:0 0 .5rem}\
h2{font-size:1.25rem;margin:2.5rem 0 .5rem;padding-top:.75rem;border-top:1px solid var(--line)}\
p{margin:.6rem 0;max-width:46rem}\
nav{display:flex;flex-wrap:wrap;gap:.25rem 1rem;font-size:.9rem;margin:1rem 0}\
a{color:var(--ai)}\
.figure{font-variant-numeric:tabular-nums;font-weight:600;overflow-wrap:anywhere}.together{white-space:nowrap}\
.alarm{border-left:4px solid var(--alarm);background:var(--alarm-card);padding:.7rem 1rem;margin:1rem 0}\
.scroll{overflow-x:auto;margin:1rem 0}\
table{border-collapse:collapse;font-size:.92rem;min-width:100%}\
caption{text-align:left;font-weight:600;padding:.3rem 0}caption span{display:block;max-width:min(46rem,calc(100vw - 2rem))}\
th,td{text-align:left;vertical-align:top;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line)}\
th{color:var(--soft);font-weight:600}td .figure{font-weight:400}\
figure{margin:1.2rem 0;overflow-x:auto}figcaption{font-size:.92rem;color:var(--soft)}\
svg{display:block;width:100%;height:auto;font:13px system-ui,sans-serif}\
svg text{fill:var(--soft)}svg .axis{stroke:var(--line)}\
svg .s0{stroke:var(--ai);fill:var(--ai)}svg .s1{stroke:var(--human);fill:var(--human)}\
svg .s2{stroke:var(--third);fill:var(--third)}\
svg .line{fill:none;stroke-width:2}svg .band{stroke:none;opacity:.18}svg .dash{stroke-dasharray:6 4}\
svg .zero{stroke:var(--soft)}svg .name{stroke:none;font-weight:600}\
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,18rem),1fr));gap:1rem}\
.panels figure{margin:0}.panels figcaption{color:var(--ink);font-weight:600}\
.narrow{display:none}@media screen and (max-width:36rem){.wide{display:none}.narrow{display:block}\
table,tbody,tr,td,caption{display:block}thead{display:none}tr{padding:.5rem 0;border-bottom:1px solid var(--line)}\
td{border:0;padding:.1rem 0}td.empty{display:none}td:first-child{font-weight:600}\
td:not(:first-child)::before{content:attr(data-head) \": \";color:var(--soft)}td[data-head=\"\"]::before{content:none}}\
@media print{:root{--page:#fff;--ink:#000;--soft:#333;--card:#fff}nav{display:none}h2{break-after:avoid}\
figure,tr,.kept{break-inside:avoid}caption,thead{break-after:avoid}thead{display:table-header-group}\
.scroll{overflow:visible}}";
