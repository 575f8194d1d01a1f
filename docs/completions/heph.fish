# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_heph_global_optspecs
    string join \n config= h/help V/version
end

function __fish_heph_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_heph_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_heph_using_subcommand
    set -l cmd (__fish_heph_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c heph -n "__fish_heph_needs_command" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_needs_command" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_needs_command" -s V -l version -d 'Print version'
complete -c heph -n "__fish_heph_needs_command" -f -a "add" -d 'Add a task'
complete -c heph -n "__fish_heph_needs_command" -f -a "list" -d 'List tasks'
complete -c heph -n "__fish_heph_needs_command" -f -a "next" -d 'Show the task to do next'
complete -c heph -n "__fish_heph_needs_command" -f -a "done" -d 'Mark a task as done'
complete -c heph -n "__fish_heph_needs_command" -f -a "reopen" -d 'Mark a task as open again'
complete -c heph -n "__fish_heph_needs_command" -f -a "edit" -d 'Change the title of a task'
complete -c heph -n "__fish_heph_needs_command" -f -a "delete" -d 'Delete a task; `heph undelete` brings it back'
complete -c heph -n "__fish_heph_needs_command" -f -a "undelete" -d 'Bring deleted tasks back'
complete -c heph -n "__fish_heph_needs_command" -f -a "backup" -d 'Write a consistent copy of the store to a file'
complete -c heph -n "__fish_heph_needs_command" -f -a "sync" -d 'Show the state of the sync with the hub, or sync now'
complete -c heph -n "__fish_heph_needs_command" -f -a "hub" -d 'Invite machines to the hub on this machine, list and revoke them'
complete -c heph -n "__fish_heph_needs_command" -f -a "daemon" -d 'Manage hephd as a service of the operating system'
complete -c heph -n "__fish_heph_needs_command" -f -a "auth" -d 'Log in at the OpenID provider that the hub trusts'
complete -c heph -n "__fish_heph_needs_command" -f -a "self-update" -d 'Keep heph and hephd current'
complete -c heph -n "__fish_heph_needs_command" -f -a "completions" -d 'Print shell completions'
complete -c heph -n "__fish_heph_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand add" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand add" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand add" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand list" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand list" -l all -d 'Include the tasks that are done'
complete -c heph -n "__fish_heph_using_subcommand list" -l done -d 'List only the tasks that are done'
complete -c heph -n "__fish_heph_using_subcommand list" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand list" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand next" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand next" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand next" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand done" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand done" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand done" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand reopen" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand reopen" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand reopen" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand edit" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand edit" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand edit" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand delete" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand delete" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand delete" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand undelete" -l since -d 'Bring back every task that was deleted on this machine since then: 30m, 2h, 1d, or a time such as 2026-02-03T04:05:06Z' -r
complete -c heph -n "__fish_heph_using_subcommand undelete" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand undelete" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand undelete" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand backup" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand backup" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand backup" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand sync; and not __fish_seen_subcommand_from status now join help" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand sync; and not __fish_seen_subcommand_from status now join help" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand sync; and not __fish_seen_subcommand_from status now join help" -f -a "status" -d 'Show when hephd last synced with its hub, and what is still to send'
complete -c heph -n "__fish_heph_using_subcommand sync; and not __fish_seen_subcommand_from status now join help" -f -a "now" -d 'Sync with the hub now, and wait until that is done'
complete -c heph -n "__fish_heph_using_subcommand sync; and not __fish_seen_subcommand_from status now join help" -f -a "join" -d 'Sync with the hub that invited this machine'
complete -c heph -n "__fish_heph_using_subcommand sync; and not __fish_seen_subcommand_from status now join help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from status" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from status" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from now" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from now" -l accept-deletes -d 'Let the hub delete the tasks that `heph sync status` says are held back'
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from now" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from now" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from join" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from join" -l hub-plain-http -d 'Accept a hub on a public network over plain http'
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from join" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show when hephd last synced with its hub, and what is still to send'
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "now" -d 'Sync with the hub now, and wait until that is done'
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "join" -d 'Sync with the hub that invited this machine'
complete -c heph -n "__fish_heph_using_subcommand sync; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand hub; and not __fish_seen_subcommand_from invite machines revoke help" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand hub; and not __fish_seen_subcommand_from invite machines revoke help" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand hub; and not __fish_seen_subcommand_from invite machines revoke help" -f -a "invite" -d 'Print the line with which another machine joins this hub'
complete -c heph -n "__fish_heph_using_subcommand hub; and not __fish_seen_subcommand_from invite machines revoke help" -f -a "machines" -d 'List the machines that are invited'
complete -c heph -n "__fish_heph_using_subcommand hub; and not __fish_seen_subcommand_from invite machines revoke help" -f -a "revoke" -d 'Revoke the secret of a machine, which then can no longer sync'
complete -c heph -n "__fish_heph_using_subcommand hub; and not __fish_seen_subcommand_from invite machines revoke help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from invite" -l url -d 'URL at which other machines reach this hub; by default, that of the last invitation, else of --http-addr' -r
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from invite" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from invite" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from invite" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from machines" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from machines" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from machines" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from revoke" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from help" -f -a "invite" -d 'Print the line with which another machine joins this hub'
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from help" -f -a "machines" -d 'List the machines that are invited'
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Revoke the secret of a machine, which then can no longer sync'
complete -c heph -n "__fish_heph_using_subcommand hub; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand daemon; and not __fish_seen_subcommand_from start stop restart status uninstall logs help" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand daemon; and not __fish_seen_subcommand_from start stop restart status uninstall logs help" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand daemon; and not __fish_seen_subcommand_from start stop restart status uninstall logs help" -f -a "start" -d 'Install hephd as a service that starts now and at every login'
complete -c heph -n "__fish_heph_using_subcommand daemon; and not __fish_seen_subcommand_from start stop restart status uninstall logs help" -f -a "stop" -d 'Stop hephd until the next login or start'
complete -c heph -n "__fish_heph_using_subcommand daemon; and not __fish_seen_subcommand_from start stop restart status uninstall logs help" -f -a "restart" -d 'Rewrite the service file and replace hephd by a new process'
complete -c heph -n "__fish_heph_using_subcommand daemon; and not __fish_seen_subcommand_from start stop restart status uninstall logs help" -f -a "status" -d 'Show whether hephd is installed and running, and where its files are'
complete -c heph -n "__fish_heph_using_subcommand daemon; and not __fish_seen_subcommand_from start stop restart status uninstall logs help" -f -a "uninstall" -d 'Stop hephd and remove its service; tasks and log are kept'
complete -c heph -n "__fish_heph_using_subcommand daemon; and not __fish_seen_subcommand_from start stop restart status uninstall logs help" -f -a "logs" -d 'Print the log of hephd'
complete -c heph -n "__fish_heph_using_subcommand daemon; and not __fish_seen_subcommand_from start stop restart status uninstall logs help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l mode -d 'Run alone, which is the default, or as a hub' -r -f -a "local\t'One user\'s tasks on this machine'
server\t'A hub for many machines'"
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l hub-url -d 'Sync with the hub at this URL' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l http-addr -d 'Address the hub listens on' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l oidc-issuer -d 'OpenID provider that issues the tokens' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l oidc-audience -d 'Audience that tokens must name' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l oidc-client-id -d 'Client id to log in with' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l insecure-no-auth -d 'Let the hub serve every address without tokens: any client can read and write every task' -r -f -a "true\t''
false\t''"
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l sync-rate -d 'How many requests a minute one user may send to the hub' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l oidc-scopes -d 'Scopes to log in for, separated by spaces, instead of those that the provider says it supports' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l hub-plain-http -d 'Let the token go to the hub over plain http: for a tailnet, or a network whose members you all trust' -r -f -a "true\t''
false\t''"
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l invited-only -d 'Let the hub serve every address, to the machines that `heph hub invite` has invited' -r -f -a "true\t''
false\t''"
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l quota-bytes -d 'How much one user may store on the hub, or the hub on a spoke, such as 512MiB; 1GiB by default' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l quota-operations -d 'How many operations one user may store on the hub' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l max-clock-drift -d 'How far ahead of the hub\'s clock that of a machine may be, such as 30m; 24h by default' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l unset -d 'Remove a flag from the service, such as hub-url; may be given more than once' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l self-update-interval-secs -d 'The same, with this many seconds between two runs' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l wait -d 'How long to wait until hephd answers' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l self-update -d 'Also turn automatic updates on, as `heph self-update enable` does'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -l force -d 'Overwrite a service file that was made or edited by hand, or cannot be read back'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from start" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from stop" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from stop" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l mode -d 'Run alone, which is the default, or as a hub' -r -f -a "local\t'One user\'s tasks on this machine'
server\t'A hub for many machines'"
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l hub-url -d 'Sync with the hub at this URL' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l http-addr -d 'Address the hub listens on' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l oidc-issuer -d 'OpenID provider that issues the tokens' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l oidc-audience -d 'Audience that tokens must name' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l oidc-client-id -d 'Client id to log in with' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l insecure-no-auth -d 'Let the hub serve every address without tokens: any client can read and write every task' -r -f -a "true\t''
false\t''"
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l sync-rate -d 'How many requests a minute one user may send to the hub' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l oidc-scopes -d 'Scopes to log in for, separated by spaces, instead of those that the provider says it supports' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l hub-plain-http -d 'Let the token go to the hub over plain http: for a tailnet, or a network whose members you all trust' -r -f -a "true\t''
false\t''"
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l invited-only -d 'Let the hub serve every address, to the machines that `heph hub invite` has invited' -r -f -a "true\t''
false\t''"
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l quota-bytes -d 'How much one user may store on the hub, or the hub on a spoke, such as 512MiB; 1GiB by default' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l quota-operations -d 'How many operations one user may store on the hub' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l max-clock-drift -d 'How far ahead of the hub\'s clock that of a machine may be, such as 30m; 24h by default' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l unset -d 'Remove a flag from the service, such as hub-url; may be given more than once' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l self-update-interval-secs -d 'The same, with this many seconds between two runs' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l wait -d 'How long to wait until hephd answers' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l self-update -d 'Also turn automatic updates on, as `heph self-update enable` does'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -l force -d 'Overwrite a service file that was made or edited by hand, or cannot be read back'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from restart" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from status" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from status" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from uninstall" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from uninstall" -l force -d 'Also remove a service file that was made or edited by hand'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from uninstall" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from logs" -s n -l lines -d 'How many lines to print' -r
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from logs" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from logs" -s f -l follow -d 'Keep printing new lines until interrupted'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from logs" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "start" -d 'Install hephd as a service that starts now and at every login'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "stop" -d 'Stop hephd until the next login or start'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "restart" -d 'Rewrite the service file and replace hephd by a new process'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show whether hephd is installed and running, and where its files are'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "uninstall" -d 'Stop hephd and remove its service; tasks and log are kept'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "logs" -d 'Print the log of hephd'
complete -c heph -n "__fish_heph_using_subcommand daemon; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand auth; and not __fish_seen_subcommand_from login logout status help" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand auth; and not __fish_seen_subcommand_from login logout status help" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand auth; and not __fish_seen_subcommand_from login logout status help" -f -a "login" -d 'Log in on this machine, with a code that you confirm in any browser'
complete -c heph -n "__fish_heph_using_subcommand auth; and not __fish_seen_subcommand_from login logout status help" -f -a "logout" -d 'Revoke the login and remove its tokens'
complete -c heph -n "__fish_heph_using_subcommand auth; and not __fish_seen_subcommand_from login logout status help" -f -a "status" -d 'Show the login: issuer, user and expiry'
complete -c heph -n "__fish_heph_using_subcommand auth; and not __fish_seen_subcommand_from login logout status help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from login" -l issuer -d 'URL of the OpenID provider; by default, that of hephd' -r
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from login" -l client-id -d 'Client id of heph at the provider; by default, that of hephd' -r
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from login" -l oidc-scopes -d 'Scopes to request, separated by spaces; by default, those of hephd, else what the provider supports of openid and offline_access' -r
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from login" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from login" -l json -d 'Print one JSON object, and the instructions on standard error'
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from login" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from logout" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from logout" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from status" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from status" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from help" -f -a "login" -d 'Log in on this machine, with a code that you confirm in any browser'
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from help" -f -a "logout" -d 'Revoke the login and remove its tokens'
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show the login: issuer, user and expiry'
complete -c heph -n "__fish_heph_using_subcommand auth; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "check" -d 'Check whether a newer release exists'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "apply" -d 'Install the newest release now, and roll back if it is not healthy'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "enable" -d 'Turn automatic updates on'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "disable" -d 'Turn automatic updates off and remove every trace of the timer'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "status" -d 'Show whether updates are on, what runs, and why it is not the latest'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "history" -d 'List the runs so far'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "rollback" -d 'Go back to a release that is still on disk'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "quarantine" -d 'List or clear the releases that failed here'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "clean" -d 'Remove old releases and trim the build folder'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "trust" -d 'Show or change the keys whose signatures are accepted'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "doctor" -d 'Check whether the timer\'s next run will work'
complete -c heph -n "__fish_heph_using_subcommand self-update; and not __fish_seen_subcommand_from check apply enable disable status history rollback quarantine clean trust doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from check" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from check" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from check" -l scheduled -d 'Started by the timer'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from apply" -l to -d 'Install exactly this release, even a lower or a quarantined one' -r
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from apply" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from apply" -l accept-moved-tag -d 'Install it even if its tag was moved to another commit'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from apply" -l dry-run -d 'Show what would be done, and change nothing'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from apply" -l force -d 'Install the current release afresh'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from apply" -l no-restart -d 'Leave hephd running as it is'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from apply" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from apply" -l scheduled -d 'Started by the timer'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from apply" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from enable" -l notify-only -d 'Only report new releases; --notify-only=false installs them again' -r -f -a "true\t''
false\t''"
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from enable" -l every -d 'Run once in every interval, such as 90s, 30m, 6h or 1d' -r
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from enable" -l at -d 'Run at these local times of day, such as 03:30 or 03:30,15:30' -r
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from enable" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from enable" -l force -d 'Overwrite files that were made or edited by hand, or cannot be read back'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from enable" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from disable" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from disable" -l force -d 'Also remove files that were made or edited by hand'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from disable" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from status" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from status" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from history" -l last -d 'Show at most this many of the newest runs' -r
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from history" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from history" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from rollback" -l to -d 'Go back to this release instead of the one before' -r
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from rollback" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from rollback" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from rollback" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from quarantine" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from quarantine" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from quarantine" -f -a "list" -d 'List the releases that failed here and are not tried again'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from quarantine" -f -a "clear" -d 'Allow a release to be tried again'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from quarantine" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from clean" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from clean" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from clean" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from trust" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from trust" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from trust" -f -a "show" -d 'Show which signatures are required, and which keys are accepted'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from trust" -f -a "add" -d 'Accept the signatures of a key'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from trust" -f -a "remove" -d 'Stop accepting the signatures of a key'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from trust" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from doctor" -l inside -d 'Run the checks of the timer\'s job here, and write what they find to this file' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from doctor" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from doctor" -l json -d 'Print one JSON object'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from doctor" -s h -l help -d 'Print help'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check whether a newer release exists'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "apply" -d 'Install the newest release now, and roll back if it is not healthy'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "enable" -d 'Turn automatic updates on'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "disable" -d 'Turn automatic updates off and remove every trace of the timer'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "status" -d 'Show whether updates are on, what runs, and why it is not the latest'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "history" -d 'List the runs so far'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "rollback" -d 'Go back to a release that is still on disk'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "quarantine" -d 'List or clear the releases that failed here'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "clean" -d 'Remove old releases and trim the build folder'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "trust" -d 'Show or change the keys whose signatures are accepted'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "doctor" -d 'Check whether the timer\'s next run will work'
complete -c heph -n "__fish_heph_using_subcommand self-update; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand completions" -l config -d 'Settings file to use instead of ~/.config/heph/config.toml' -r -F
complete -c heph -n "__fish_heph_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "add" -d 'Add a task'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "list" -d 'List tasks'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "next" -d 'Show the task to do next'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "done" -d 'Mark a task as done'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "reopen" -d 'Mark a task as open again'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "edit" -d 'Change the title of a task'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "delete" -d 'Delete a task; `heph undelete` brings it back'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "undelete" -d 'Bring deleted tasks back'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "backup" -d 'Write a consistent copy of the store to a file'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "sync" -d 'Show the state of the sync with the hub, or sync now'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "hub" -d 'Invite machines to the hub on this machine, list and revoke them'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "daemon" -d 'Manage hephd as a service of the operating system'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "auth" -d 'Log in at the OpenID provider that the hub trusts'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "self-update" -d 'Keep heph and hephd current'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "completions" -d 'Print shell completions'
complete -c heph -n "__fish_heph_using_subcommand help; and not __fish_seen_subcommand_from add list next done reopen edit delete undelete backup sync hub daemon auth self-update completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from sync" -f -a "status" -d 'Show when hephd last synced with its hub, and what is still to send'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from sync" -f -a "now" -d 'Sync with the hub now, and wait until that is done'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from sync" -f -a "join" -d 'Sync with the hub that invited this machine'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from hub" -f -a "invite" -d 'Print the line with which another machine joins this hub'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from hub" -f -a "machines" -d 'List the machines that are invited'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from hub" -f -a "revoke" -d 'Revoke the secret of a machine, which then can no longer sync'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "start" -d 'Install hephd as a service that starts now and at every login'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "stop" -d 'Stop hephd until the next login or start'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "restart" -d 'Rewrite the service file and replace hephd by a new process'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "status" -d 'Show whether hephd is installed and running, and where its files are'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "uninstall" -d 'Stop hephd and remove its service; tasks and log are kept'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from daemon" -f -a "logs" -d 'Print the log of hephd'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from auth" -f -a "login" -d 'Log in on this machine, with a code that you confirm in any browser'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from auth" -f -a "logout" -d 'Revoke the login and remove its tokens'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from auth" -f -a "status" -d 'Show the login: issuer, user and expiry'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from self-update" -f -a "check" -d 'Check whether a newer release exists'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from self-update" -f -a "apply" -d 'Install the newest release now, and roll back if it is not healthy'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from self-update" -f -a "enable" -d 'Turn automatic updates on'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from self-update" -f -a "disable" -d 'Turn automatic updates off and remove every trace of the timer'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from self-update" -f -a "status" -d 'Show whether updates are on, what runs, and why it is not the latest'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from self-update" -f -a "history" -d 'List the runs so far'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from self-update" -f -a "rollback" -d 'Go back to a release that is still on disk'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from self-update" -f -a "quarantine" -d 'List or clear the releases that failed here'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from self-update" -f -a "clean" -d 'Remove old releases and trim the build folder'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from self-update" -f -a "trust" -d 'Show or change the keys whose signatures are accepted'
complete -c heph -n "__fish_heph_using_subcommand help; and __fish_seen_subcommand_from self-update" -f -a "doctor" -d 'Check whether the timer\'s next run will work'
