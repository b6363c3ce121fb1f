"""Style sheet of reports: light and dark, readable on a phone and on paper."""

CSS = """
:root{color-scheme:light dark;--bg:#fbfbfa;--card:#fff;--ink:#1b1f24;--muted:#5d656e;--line:#d9dde2;
--wall:#4a525c;--bad:#a8401a;--shade:86 180 233}
@media (prefers-color-scheme:dark){:root{--bg:#14171a;--card:#1c2024;--ink:#e6e9ec;--muted:#9aa3ad;
--line:#363c43;--wall:#79828c;--bad:#f08a5d;
--shade:10 92 143}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.55 system-ui,-apple-system,
"Segoe UI",Roboto,"Liberation Sans",sans-serif;overflow-wrap:break-word}
main{max-width:1120px;margin:0 auto;padding:2rem 1.25rem 4rem}
h1{font-size:1.75rem;line-height:1.2;margin:0 0 .4rem;letter-spacing:-.01em}
h2{font-size:1.3rem;margin:3rem 0 .6rem;padding-top:.9rem;border-top:1px solid var(--line)}
h3{font-size:1.05rem;margin:1.6rem 0 .4rem}
p{margin:.5rem 0;max-width:46rem}
a{color:inherit;text-underline-offset:.15em}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin-top:1rem;font-size:.92rem}
.muted,figcaption,caption{color:var(--muted)}
.small,figcaption,caption{font-size:.86rem}
.grid{display:grid;gap:1rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr))}
.mazes{display:grid;gap:1rem;grid-template-columns:repeat(auto-fill,minmax(min(46%,180px),1fr))}
.card,figure{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:1rem;
margin:0;min-width:0}
.mazes figure{padding:.6rem}.mazes figcaption{margin-top:.5rem;line-height:1.4}
svg.plot text{font-family:inherit!important}
.card h3{margin-top:0}.card p:last-child{margin-bottom:0}
.badge{display:inline-block;font-weight:600;font-size:.86rem;line-height:1.4;
padding:.05rem .6rem;border:1.5px solid currentColor;border-radius:1rem}
.legend{display:flex;flex-wrap:wrap;gap:.2rem 1.2rem;list-style:none;padding:0;margin:.6rem 0;
font-size:.92rem}
.swatch{width:28px;height:10px;margin-right:.4rem;vertical-align:baseline}
svg.plot,svg.maze{display:block;width:100%;height:auto}
svg.plot{max-width:640px;margin:auto}svg.plot *{stroke-linejoin:round;stroke-linecap:butt}
.maze .wall{fill:var(--wall)}.maze .goal{fill:#009E73}
.maze .path{fill:none;stroke-width:.2;stroke-linejoin:round;stroke-linecap:round}
.maze .start{fill:var(--card);stroke-width:.18}
.maze .lost{fill:none;stroke-width:.26;stroke-linecap:round}
.maze{background:var(--bg)}img.episode{width:100%;image-rendering:pixelated;border-radius:4px}
.scroll{overflow-x:auto;margin:.8rem 0}
table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums;width:100%}
caption{text-align:left;padding-bottom:.4rem}
th,td{padding:.32rem .7rem .32rem 0;text-align:right;border-bottom:1px solid var(--line);
vertical-align:top;white-space:nowrap}
th{font-weight:600}thead th{vertical-align:bottom;white-space:normal;min-width:4.5rem}
th:first-child,#claims~.scroll td,#claims~.scroll th{text-align:left}
tbody th,thead th:first-child{position:sticky;left:0;background:var(--bg)}
.card tbody th,.card thead th:first-child,
figure tbody th,figure thead th:first-child{background:var(--card)}
.wrap{white-space:normal;min-width:13rem;max-width:26rem;font-weight:400}
.card table{width:auto}.card td,.card th{padding-right:1.4rem}
tbody .group th{padding-top:.9rem;color:var(--muted);font-weight:600}
.confusion,.strip{width:auto;font-size:.78rem}
.confusion th,.confusion td{padding:.3rem .5rem;min-width:2.8rem}
.confusion td{background:rgb(var(--shade)/var(--share,0))}
.confusion .right{box-shadow:inset 0 0 0 1.5px var(--muted);font-weight:600}
.confusion [colspan]{text-align:left}
.examples{display:flex;flex-wrap:wrap;gap:1rem}.example{max-width:100%}
.example .scroll{margin:.5rem 0 0}
.strip{table-layout:fixed;width:calc(var(--frames)*var(--frame) + 5.4rem)}
.strip .name{width:5.4rem}.strip .half{width:calc(var(--frame)/2)}
.strip th,.strip td{padding:.2rem .15rem;text-align:center;white-space:normal;line-height:1.3;
overflow-wrap:anywhere}
.strip th:first-child{text-align:left}.strip [colspan]{padding:0}
.strip img{display:block;width:100%;height:auto;image-rendering:pixelated}
.ribbon{background:linear-gradient(var(--action),var(--action)) 50% 0/calc(100% - 2px) .5rem
no-repeat;print-color-adjust:exact}
.striped{background-image:repeating-linear-gradient(45deg,var(--action) 0 4px,transparent 4px 7px)}
.dotted{background-image:repeating-linear-gradient(90deg,var(--action) 0 3px,transparent 3px 6px)}
.ribbons td.ribbon{background-position:50% 100%;padding-bottom:.7rem}
.ribbons+.ribbons td.ribbon{background-position:50% 0;padding-top:.7rem}
.legend .ribbon{display:inline-block;width:1.6rem;height:.5rem;margin-right:.4rem}
.wrong{color:var(--bad);font-weight:700;border-bottom:2px solid}
.bar{display:block;height:.4rem;margin:.2rem 15%;background:linear-gradient(90deg,currentColor
calc(var(--share)*100%),var(--line) 0)}
.controls{display:flex;flex-wrap:wrap;gap:.4rem;align-items:center;margin:1rem 0 .6rem;
font-size:.86rem}.controls[hidden]{display:none}
button{font:inherit;color:inherit;background:var(--card);border:1px solid var(--muted);
border-radius:1rem;padding:.3rem .8rem;cursor:pointer}
button[aria-pressed=true]{background:var(--ink);color:var(--card);border-color:var(--ink)}
pre,code{font:.86rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
pre{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:.7rem .9rem;
overflow-x:auto;margin:.6rem 0}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1.2rem;margin:.8rem 0}
dt{color:var(--muted)}dd{margin:0;min-width:0}
details{margin:.8rem 0}summary{cursor:pointer}
ul.plain{padding-left:1.2rem;max-width:46rem}
@media (max-width:600px){main{padding:1.2rem .9rem 3rem}h1{font-size:1.4rem}
tbody th[scope=row]{white-space:normal;max-width:8.5rem}.wrap{min-width:8rem}
dl{grid-template-columns:1fr;gap:0}
dd{margin-bottom:.5rem}.card,figure{padding:.7rem}}
@media print{body{background:#fff}figure,.card{break-inside:avoid}}
"""
