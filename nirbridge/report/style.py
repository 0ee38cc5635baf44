"""The page's style sheet: system fonts, dark and light by the reader's setting, one column on a phone."""

CSS = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--soft:#57606a;--line:#d0d7de;--panel:#f6f8fa;
--link:#0b57a4;--agree:#0072b2;--missing:#d55e00;--extra:#9b3f86;--first:#0072b2;--second:#d55e00;
--good:#1a7f37;--bad:#c0322b;--c0:#0072b2;--c1:#e69f00;--c2:#009e73;--c3:#cc79a7;--c4:#56b4e9;
--c5:#d55e00;--c6:#8a8f98;--c7:#b8a800}
@media (prefers-color-scheme:dark){:root{--bg:#0e1116;--fg:#e3e8ee;--soft:#9aa4af;--line:#333b45;
--panel:#171c23;--link:#79b8ff;--agree:#56b4e9;--missing:#f0883e;--extra:#e39bd0;--first:#56b4e9;
--second:#f0883e;--good:#4ac26b;--bad:#ff7b72;--c0:#4ba3db;--c5:#f0883e;--c6:#8a939e}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
body{margin:0 auto;padding:1.2rem 1rem 4rem;max-width:68rem;background:var(--bg);color:var(--fg);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
h1{font-size:1.6rem;line-height:1.25;margin:.2rem 0 .8rem;overflow-wrap:anywhere}
h2{font-size:1.2rem;margin:2.6rem 0 .6rem;padding-top:.6rem;border-top:1px solid var(--line)}
h3{font-size:1rem;margin:1.4rem 0 .4rem;overflow-wrap:anywhere}
p{margin:.4rem 0;max-width:46rem}
a{color:var(--link)}
code,pre,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;font-size:.86em}
pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.7rem .8rem;
overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere;user-select:all}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1rem;font-size:.9rem;margin:.6rem 0 0}
.soft{color:var(--soft)}.small{font-size:.86rem}
.verdicts{list-style:none;margin:0;padding:0}
.verdicts li{border-left:4px solid var(--line);padding:.25rem 0 .25rem .8rem;margin:.5rem 0;
overflow-wrap:anywhere}
.verdicts li.good{border-color:var(--good)}.verdicts li.bad{border-color:var(--bad)}
dl.facts{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1rem;margin:.8rem 0;font-size:.92rem}
dl.facts dt{color:var(--soft)}dl.facts dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto;margin:.5rem 0}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{text-align:left;vertical-align:top;padding:.35rem .9rem .35rem 0;border-bottom:1px solid var(--line)}
th{color:var(--soft);font-weight:600;white-space:nowrap}
td.num,th.num{text-align:right}
.scroll td{min-width:4.5rem}
td.name{font-weight:600;overflow-wrap:break-word;min-width:7rem;max-width:16rem}
.nowrap{white-space:nowrap}
details{margin:.3rem 0}
summary{cursor:pointer}
details.chip>summary{display:inline-block;padding:0 .55rem;border:1px solid var(--line);border-radius:99px;
background:var(--panel);font-size:.82rem;list-style:none;white-space:nowrap}
details.chip>summary::-webkit-details-marker{display:none}
details.chip>summary::after{content:" ▾";color:var(--soft)}
details.chip[open]>summary::after{content:" ▴"}
details.chip>div{padding:.4rem 0;max-width:26rem;font-size:.84rem}
.measured>summary{border-color:var(--good)}.published>summary{border-color:var(--c0)}
.fitted>summary{border-color:var(--c1)}.assumed>summary{border-style:dashed;border-color:var(--bad)}
details.box{border:1px solid var(--line);border-radius:6px;padding:.4rem .8rem}
details.box>summary{font-weight:600;overflow-wrap:anywhere}
figure{margin:.8rem 0}
figcaption{color:var(--soft);font-size:.86rem;max-width:46rem}
svg{display:block;max-width:100%;height:auto;overflow:visible}
svg text{fill:var(--fg);font:12px system-ui,"DejaVu Sans",sans-serif}
svg text.soft{fill:var(--soft)}
svg .axis{stroke:var(--line);fill:none}
svg a text{fill:var(--fg)}
svg text.bold{font-weight:600}
svg text.halo{paint-order:stroke;stroke:var(--bg);stroke-width:4px}
.key{display:inline-flex;align-items:center;gap:.35rem;margin-right:1rem;font-size:.86rem}
.key svg{display:inline-block}
.swatch{display:inline-block;width:.8rem;height:.8rem;border-radius:2px;margin-right:.35rem;vertical-align:-.08rem}
.bar{display:inline-block;width:6rem;height:.55rem;background:var(--panel);border:1px solid var(--line);
border-radius:2px;vertical-align:middle;margin-right:.5rem;overflow:hidden}
.bar i{display:block;height:100%;background:var(--c0)}.bar.over i{background:var(--bad)}
@media (max-width:640px){body{padding:.8rem .8rem 3rem}
table.cards thead{display:none}table.cards,table.cards tbody,table.cards tr,table.cards td{display:block}
table.cards tr{border:1px solid var(--line);border-radius:6px;padding:.4rem .7rem;margin:.6rem 0}
table.cards td{border:0;padding:.12rem 0;display:grid;grid-template-columns:8.2rem 1fr;gap:.6rem}
table.cards td::before{content:attr(data-label);color:var(--soft);font-weight:400}
dl.facts{grid-template-columns:1fr;gap:0}dl.facts dd{margin-bottom:.35rem}}
@media print{nav{display:none}body{max-width:none}}
"""
