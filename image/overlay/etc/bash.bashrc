[ -r /etc/bash/bashrc ] && . /etc/bash/bashrc
