#!/bin/sh
# Made by heph, template 2. If you edit it, heph stops updating it; `heph self-update enable --force` rewrites it.
# The crontab's block between '# BEGIN heph' and '# END heph' starts it. To remove both: `heph self-update disable`.
# Cadence: {{cadence}}
# Made from: {{source}}

exec >>{{log}} 2>&1

# The command sees these variables and no others.
set -- env -i \
    {{variable}} \
    "$(command -v nice)" -n 19 \
    {{command}}

# Low priority and a time limit, where there are tools for it. After the limit, heph has 5 minutes to finish or undo a
# switch that is under way.
if ionice -c 3 true 2>/dev/null; then
    set -- ionice -c 3 "$@"
fi
if timeout -k 300 10800 true 2>/dev/null; then
    set -- timeout -k 300 10800 "$@"
fi
exec "$@"
