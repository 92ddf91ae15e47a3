"""parallel-ssh with its native client, which is over libssh2; it has no check of host keys."""

from gevent import joinall
from pssh.clients import ParallelSSHClient

from common import Answers, arguments

given, answers = arguments(), Answers()
options = {"pool_size": given.at_once} if given.at_once else {}
client = ParallelSSHClient(
    given.hosts, user=given.user, port=given.port, pkey=given.key,
    allow_agent=False, identity_auth=False, timeout=300, num_retries=1, **options,
)
if given.put:
    jobs = client.copy_file(*given.put)
    joinall(jobs)
    for job in jobs:
        if job.exception:
            answers.failed(job.exception)
        else:
            answers.good += 1
else:
    for _ in range(given.rounds):
        outputs = client.run_command(given.command, stop_on_errors=False)
        for output in outputs:
            if output.exception:
                answers.failed(output.exception)
            else:
                answers.bytes += sum(len(line) + 1 for line in output.stdout)
        client.join(outputs)
        answers.good += sum(not output.exception and output.exit_code == 0 for output in outputs)
answers.show()
